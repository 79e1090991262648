"""The policy that vLLM samples for, against a server that speaks as vLLM does and samples with our own engine.

The real vLLM is not installed where tests run; ``benchmarks/vllm.sh`` tries it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, Qwen2ForCausalLM

from gasp_env.policies import PolicyError, Sampling
from learners import policies
from learners.policies import drawing, transformers, vllm
from learners.reinforcepp import Args, main

SAMPLING = Sampling(max_tokens=8, seed=3)
PROMPTS = ["Write f(x).", "What is two?"]


class StandIn(ThreadingHTTPServer):
    """Answers the requests that `learners.policies.vllm.Server` makes; ``fault`` makes it answer wrongly."""

    daemon_threads = True

    def __init__(self, model: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.policy = transformers.load(model, threads=1, dtype="float32")
        self.lock = threading.Lock()
        self.asked: list[str] = []
        self.fault = ""

    def reload(self, folder: Path) -> None:
        if self.fault == "stale":
            return
        module = Qwen2ForCausalLM(AutoConfig.from_pretrained(folder)).eval()
        assert not module.config.tie_word_embeddings
        weights = {key: one for file in folder.glob("*.safetensors") for key, one in load_file(file).items()}
        module.load_state_dict(weights)
        self.policy = transformers.TransformersPolicy(module, self.policy.tokenizer)

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        rows = drawing.rows(body["seed"], [str(body["prompt"])], [body["n"]])
        choose = drawing.Draw(body["temperature"], body["top_p"])
        with self.lock:
            assert self.policy.chat.ends == set(body["stop_token_ids"])
            self.policy.complete([body["prompt"]], rows, choose, body["max_tokens"])
        choices = [
            {
                "index": number,
                "token_ids": row.ids,
                "logprobs": {"token_logprobs": row.logprobs},
                "finish_reason": "stop" if row.ended else "length",
            }
            for number, row in enumerate(rows)
        ]
        if self.fault == "fewer":
            choices = choices[1:]
        return {"choices": choices[::-1]}


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        self._say({"data": [{"id": "m"}]} if self.server.fault != "other" else {"hello": 1})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(self.path)
        if self.server.fault == "refuses":
            return self.send_error(400, "max_tokens is too large")
        if self.path == "/v1/completions":
            return self._say(self.server.complete(body))
        if self.path == "/collective_rpc":
            assert body["method"] == "reload_weights"
            self.server.reload(Path(body["kwargs"]["weights_path"]))
        return self._say(None)

    def _say(self, answer: Any) -> None:
        data = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server(tiny_folder: Path) -> Iterator[StandIn]:
    with StandIn(tiny_folder) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def url(server: StandIn) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture(params=[0, 4])
def policy(server: StandIn, tiny_folder: Path, request: pytest.FixtureRequest) -> vllm.VllmPolicy:
    made = vllm.load(tiny_folder, threads=1, dtype="float32", lora=request.param, server=url(server) + "/v1")
    move(made, 0.02)  # an adapter that changes nothing would hide that it is left out
    return made


def move(policy: vllm.VllmPolicy, by: float) -> None:
    with torch.no_grad():
        for one in policy.parameters():
            one.add_(by * torch.randn(one.shape, generator=torch.Generator().manual_seed(1)))


def test_completions_are_those_of_the_weights_here(policy: vllm.VllmPolicy, server: StandIn) -> None:
    groups = policies.policies.complete(policy, "vllm", PROMPTS, [3, 2], SAMPLING)
    assert policy.generate(PROMPTS, [3, 2], SAMPLING) == groups
    assert [len(group) for group in groups] == [3, 2]
    scores = policy.score([(group[0].prompt_ids, [one.ids for one in group]) for group in groups])
    told = [one for group in groups for one in group]
    for row, one in zip(scores.logprobs, told, strict=True):
        assert one.logprobs == pytest.approx(row[: len(one.ids)].tolist(), abs=1e-5)
        assert one.prompt_ids in (policy.chat.prompt_ids(PROMPTS[0]), policy.chat.prompt_ids(PROMPTS[1]))
    assert policy.gap < 1e-5
    assert server.asked.count("/collective_rpc") == server.asked.count("/reset_prefix_cache") == 1
    assert policy.generate([], [], SAMPLING) == []
    assert policy.generate(PROMPTS, [0, 0], SAMPLING) == [[], []]


def test_weights_that_have_changed_are_handed_over(policy: vllm.VllmPolicy, server: StandIn) -> None:
    first = policy.generate(PROMPTS, [2, 2], SAMPLING)
    move(policy, 0.1)
    second = policy.generate(PROMPTS, [2, 2], SAMPLING)
    assert first != second
    assert policy.gap < 1e-5
    twin = policy.fork("twin")
    assert isinstance(twin, vllm.VllmPolicy)
    assert twin.generate(PROMPTS, [2, 2], SAMPLING) == second
    move(twin, 0.1)
    assert twin.generate(PROMPTS, [2, 2], SAMPLING) != second
    assert policy.generate(PROMPTS, [2, 2], SAMPLING) == second
    assert server.asked.count("/collective_rpc") == 5


def test_a_stale_copy_is_noticed(policy: vllm.VllmPolicy, server: StandIn) -> None:
    policy.generate(PROMPTS, [1, 1], SAMPLING)
    server.fault = "stale"
    move(policy, 0.3)
    for _ in range(2):  # and stays noticed
        with pytest.raises(PolicyError, match="vLLM does not sample from the weights it was given"):
            policy.generate(PROMPTS, [1, 1], SAMPLING)
    server.fault = ""
    policy.generate(PROMPTS, [1, 1], SAMPLING)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fewer", "expected 1 completions with ids and log-probabilities, got"),
        ("refuses", "/collective_rpc: 400 .*max_tokens is too large"),
    ],
)
def test_a_server_that_answers_otherwise(
    policy: vllm.VllmPolicy, server: StandIn, fault: str, said: str
) -> None:
    server.fault = fault
    with pytest.raises(PolicyError, match=said):
        policy.generate(PROMPTS, [1, 1], SAMPLING)


def test_what_is_no_server(server: StandIn, tiny_folder: Path) -> None:
    server.fault = "other"
    with pytest.raises(ValueError, match="expected a server of vLLM, got {'hello': 1}"):
        vllm.load(tiny_folder, server=url(server))
    with pytest.raises(PolicyError, match="start a server with python -m learners.policies.vllm"):
        vllm.load(tiny_folder, server="http://127.0.0.1:9")
    for wrong in ({"memory": 1.5}, {"context": 0}):
        with pytest.raises(ValueError, match=f"expected {next(iter(wrong))}"):
            vllm.load(tiny_folder, **wrong)  # type: ignore[arg-type]


def test_it_learns_as_the_embedded_engine_does(
    server: StandIn, llm_options: dict[str, Any], llm_folder: Path, tmp_path: Path
) -> None:
    options = {"model": llm_folder, "dtype": "float32", "lora": 4, "server": url(server)}
    llm_options |= {"policy": "vllm", "policy_options": {"": options}, "updates": 2, "entropy_coef": 0.1}
    main(Args(**llm_options))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert max(line["train/engine_gap"] for line in lines) < 1e-5
    assert server.asked.count("/collective_rpc") == 2
