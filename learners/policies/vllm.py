"""A language model that vLLM samples and this process trains: ``--policy vllm --model NAME_OR_FOLDER_OR_GGUF``.

    python -m learners.reinforcepp --policy vllm --recipe transformers --model PATH --device cuda
    python -m learners.policies.vllm --model PATH --port 8000                  # a server for it, on a GPU of its own
    python -m learners.reinforcepp --policy vllm --recipe transformers --model PATH --device cuda --server http://HOST:8000

The model is a `learners.policies.transformers.TransformersPolicy`, which has the weights that train, scores, saves and
loads. Completions come from vLLM, which has a copy of the weights: in this process, or behind a server that shares a
folder with it. Before the first completion, and whenever the weights have changed, they are written there, with an
adapter's product added, and vLLM is told to read them. Then its cache of prefixes is emptied, and it is asked for one
completion, whose log-probabilities have to be those of the weights here. If they are not, that raises: a copy that has
gone stale would spoil a run without a sign.

The copy has a head of its own even where the model's is tied to its embedding, because vLLM has been seen to go on
with the old head (on CPUs, 0.32). Log-probabilities are those of the distribution that is sampled from
(``processed_logprobs``). A token's draws depend on the seed, its prompt and that prompt's place in the call.

Tried with vLLM 0.32 on CPUs (``benchmarks/vllm.sh``), in this process and as a server; not on a GPU. Its memory is not
given back while training (vLLM's sleep).
"""

from __future__ import annotations

import argparse
import atexit
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file

from gasp_env.policies import Completion, PolicyError, Sampling
from learners.policies import loading, transformers
from learners.policies.transformers import TransformersPolicy

#: Requests under way at a server, seconds that one may take, and bytes of a file of weights.
_REQUESTS, _SECONDS, _SHARD = 64, 3600.0, 4 * 2**30
#: Largest mean difference of log-probabilities between a sound copy and the weights here, by type.
TOLERANCE = {torch.float32: 0.01, torch.bfloat16: 0.1, torch.float16: 0.05}
_PROBE_TOKENS = 16


def load(
    model: str | Path,
    device: str = "cpu",
    threads: int | None = None,
    dtype: loading.DType = "auto",
    system: str | None = None,
    thinking: bool | None = None,
    cache: Path | None = None,
    trust_remote_code: bool = False,
    lora: int | None = None,
    checkpointing: bool = False,
    server: str = "",
    exchange: Path | None = None,
    memory: float = 0.3,
    context: int = 8192,
    eager: bool = False,
) -> VllmPolicy:
    """A policy of a model.

    Args:
        model: a name at the Hugging Face hub, a folder, a GGUF file, or a folder that a policy has saved.
        device: of the weights that train, and of vLLM in this process.
        threads: of torch in this process.
        dtype: of the weights, here and in vLLM.
        system: a system prompt.
        thinking: given to templates that can turn reasoning on or off.
        cache: folder that keeps dequantised GGUF files.
        trust_remote_code: let a repository's own Python code run in this process.
        lora: rank of a LoRA adapter that is trained in place of the model's weights. For all of these see
            `learners.policies.transformers.load`.
        checkpointing: compute activations again in the backward pass.
        server: of vLLM, such as ``http://127.0.0.1:8000``; by default vLLM runs in this process.
        exchange: folder in which weights are handed over; a server has to see it under the same name. By default a
            folder in memory (``/dev/shm``).
        memory: share of a GPU's memory that vLLM takes in this process, weights included.
        context: most tokens of a prompt and its completion, in this process.
        eager: without compilation and CUDA graphs: begins sooner, samples more slowly. In this process.

    Raises:
        ValueError: there is no such model, or it cannot be read; or a number is out of range.
        ModuleNotFoundError: vLLM is not installed.
    """
    if not 0 < memory < 1:
        raise ValueError(f"expected memory to be a share above 0 and below 1, got {memory}")
    if context < 1:
        raise ValueError(f"expected context to be an integer of at least 1, got {context}")
    policy = transformers.load(
        model,
        device,
        threads,
        dtype,
        system,
        thinking,
        cache=cache,
        trust_remote_code=trust_remote_code,
        lora=lora,
        checkpointing=checkpointing,
    )
    folder = _folder(exchange)
    engine: Engine
    if server:
        engine = Server(server, folder)
    else:
        engine = InProcess(folder, policy, memory=memory, context=context, eager=eager)
    return VllmPolicy(policy, engine)


#: The policy whose weights were handed over, and the state of these; None if nobody's are known to be there.
Holder = tuple[int, tuple[int, ...]] | None


class Engine(Protocol):
    """Something that samples, from weights in a folder.

    Attributes:
        folder: in which weights are handed over.
        holder: of the weights that were read last: the policy, and the state of its weights.
    """

    folder: Path
    holder: Holder

    def sample(
        self, requests: Sequence[Request], sampling: Sampling, ends: Sequence[int]
    ) -> list[list[Drawn]]:
        """Completions of each request."""
        ...

    def reload(self) -> None:
        """Read the weights in the folder, and forget what was computed with those before."""
        ...


#: Ids of a prompt, how many completions, and a seed.
Request = tuple[Sequence[int], int, int]
#: Ids of a completion, their log-probabilities, and True if it has ended.
Drawn = tuple[tuple[int, ...], tuple[float, ...], bool]


class VllmPolicy(TransformersPolicy):
    """See `learners.policies.base.TrainablePolicy`.

    Args:
        policy: with the weights that train.
        engine: that samples.

    Attributes:
        engine: shared with forks, each of which hands over its own weights when it is asked.
        gap: of the last probe: mean difference of log-probabilities between vLLM and the weights here.
    """

    def __init__(self, policy: TransformersPolicy, engine: Engine) -> None:
        self.__dict__.update(policy.__dict__)
        self.engine = engine
        self.gap = 0.0

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
    ) -> list[list[Completion]]:
        """See `gasp_env.policies.Policy`.

        Raises:
            PolicyError: vLLM cannot be reached, or samples from other weights than these.
        """
        seed = sampling.seed
        if seed is None:
            seed = int(torch.randint(2**62, (), generator=self.generator))
        ids = [self.chat.prompt_ids(prompt) for prompt in prompts]
        asked = [
            (ids[number], count, _seed(seed, number, prompt))
            for number, (prompt, count) in enumerate(zip(prompts, samples, strict=True))
            if count
        ]
        self.synchronise()
        drawn = iter(self.engine.sample(asked, sampling, sorted(self.chat.ends)))
        return [
            [
                Completion(self.chat.answer(ids_), prompt, ids_, logprobs, "stop" if ended else "length")
                for ids_, logprobs, ended in (next(drawn) if count else ())
            ]
            for prompt, count in zip(ids, samples, strict=True)
        ]

    def synchronise(self) -> None:
        """Hand the weights over, if vLLM has others, and see that it samples from them.

        Raises:
            PolicyError: it does not.
        """
        state = (id(self), tuple(parameter._version for parameter in self.parameters()))
        if self.engine.holder == state:
            return
        self.engine.holder = None
        write(self, self.engine.folder)
        self.engine.reload()
        self.gap = self.probe()
        limit = TOLERANCE[self._dtype]
        if not self.gap <= limit:
            raise PolicyError(
                f"vLLM does not sample from the weights it was given: log-probabilities of a completion differ by "
                f"{self.gap:.3g} on average, expected at most {limit}; its version may not read weights as it should"
            )
        self.engine.holder = state

    def probe(self) -> float:
        """Mean difference of log-probabilities between vLLM and the weights here, on one completion."""
        prompt = self.chat.prompt_ids("Name a number and a colour.")
        ((drawn,),) = self.engine.sample(
            [(prompt, 1, 0)], Sampling(1.0, max_tokens=_PROBE_TOKENS), sorted(self.chat.ends)
        )
        ids, logprobs, _ = drawn
        with torch.no_grad():
            scores = self.score([(prompt, [ids])])
        differences = scores.logprobs[0, : len(ids)].float().cpu() - torch.tensor(logprobs)
        return float(differences.abs().mean())

    @property
    def _dtype(self) -> torch.dtype:
        found: torch.dtype = self.module.get_input_embeddings().weight.dtype
        return found


def write(policy: TransformersPolicy, folder: Path) -> None:
    """Write a model for vLLM: its configuration, and its weights with the policy's adapter added."""
    folder.mkdir(parents=True, exist_ok=True)
    config = policy.module.config.to_dict() | {"tie_word_embeddings": False}
    config.pop("quantization_config", None)
    architectures = getattr(policy.module.config, "architectures", None) or [type(policy.module).__name__]
    (folder / "config.json").write_text(json.dumps(config | {"architectures": architectures}, default=str))
    for old in folder.glob("*.safetensors"):
        old.unlink()
    shard: dict[str, torch.Tensor] = {}
    number = size = 0
    for name, value in merged(policy):
        shard[name] = value.detach().cpu().contiguous().clone()
        size += value.nbytes
        if size > _SHARD:
            save_file(shard, folder / f"model-{number:05d}.safetensors", {"format": "pt"})
            shard, number, size = {}, number + 1, 0
    save_file(shard, folder / f"model-{number:05d}.safetensors", {"format": "pt"})


def merged(policy: TransformersPolicy) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights of a policy's model by their names in a model without adapters, the head among them."""
    module, adapter = policy.module, policy.adapter
    parts = dict(module.named_modules())
    head = False
    for name, value in module.state_dict().items():
        if ".lora_" in name:
            continue
        layer: Any = parts.get(name.rpartition(".base_layer.")[0])
        if adapter is not None and name.endswith(".base_layer.weight") and hasattr(layer, "get_delta_weight"):
            value = value + layer.get_delta_weight(adapter).to(value.dtype)
        name = name.replace(".base_layer.", ".")
        head = head or name == "lm_head.weight"
        yield name, value
    if not head:
        yield "lm_head.weight", module.get_output_embeddings().weight


class InProcess:
    """vLLM in this process; see `Engine`."""

    def __init__(
        self, folder: Path, policy: TransformersPolicy, *, memory: float, context: int, eager: bool
    ) -> None:
        # Its engine would otherwise be a process of its own, and hold its own copy of this one's environment.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        import vllm  # type: ignore[import-not-found, unused-ignore]

        self.folder = folder
        self.holder: Holder = None
        write(policy, folder)
        device = {} if policy.device.type == "cpu" else {"gpu_memory_utilization": memory}
        self._vllm: Any = vllm
        self._llm: Any = vllm.LLM(
            model=str(folder),
            skip_tokenizer_init=True,
            dtype=str(next(policy.module.parameters()).dtype).removeprefix("torch."),
            max_model_len=min(context, getattr(policy.module.config, "max_position_embeddings", context)),
            enforce_eager=eager or policy.device.type == "cpu",
            logprobs_mode="processed_logprobs",
            seed=0,
            disable_log_stats=True,
            **device,
        )

    def sample(
        self, requests: Sequence[Request], sampling: Sampling, ends: Sequence[int]
    ) -> list[list[Drawn]]:
        """See `Engine.sample`."""
        if not requests:
            return []
        parameters = [
            self._vllm.SamplingParams(
                n=count,
                seed=seed,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_tokens,
                stop_token_ids=list(ends),
                logprobs=0,
                detokenize=False,
            )
            for _, count, seed in requests
        ]
        prompts = [{"prompt_token_ids": list(ids)} for ids, _, _ in requests]
        found = self._llm.generate(prompts, parameters, use_tqdm=False)
        return [[_drawn(one) for one in output.outputs] for output in found]

    def reload(self) -> None:
        """See `Engine.reload`."""
        self._llm.collective_rpc("reload_weights", kwargs={"weights_path": str(self.folder)})
        self._llm.reset_prefix_cache()


def _drawn(output: Any) -> Drawn:
    ids = tuple(int(one) for one in output.token_ids)
    logprobs = tuple(
        float(found[token].logprob) for token, found in zip(ids, output.logprobs or (), strict=True)
    )
    return ids, logprobs, output.finish_reason == "stop"


class Server:
    """vLLM behind a server, as ``python -m learners.policies.vllm`` starts one; see `Engine`.

    It is asked with ids rather than texts (``/v1/completions``), and told to read weights through routes that it has in
    its development mode (``/collective_rpc``, ``/reset_prefix_cache``).
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url.rstrip("/").removesuffix("/v1"), folder
        self.holder: Holder = None
        listed = _call(f"{self.url}/v1/models")
        try:
            self._model = str(listed["data"][0]["id"])
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"{self.url}: expected a server of vLLM, got {str(listed)[:200]}") from None

    def sample(
        self, requests: Sequence[Request], sampling: Sampling, ends: Sequence[int]
    ) -> list[list[Drawn]]:
        """See `Engine.sample`."""

        def ask(request: Request) -> list[Drawn]:
            ids, count, seed = request
            found = _call(
                f"{self.url}/v1/completions",
                {
                    "model": self._model,
                    "prompt": list(ids),
                    "n": count,
                    "seed": seed,
                    "temperature": sampling.temperature,
                    "top_p": sampling.top_p,
                    "max_tokens": sampling.max_tokens,
                    "stop_token_ids": list(ends),
                    "logprobs": 0,
                    "return_token_ids": True,
                    "skip_special_tokens": False,
                },
            )
            try:
                drawn = [
                    (
                        tuple(int(token) for token in choice["token_ids"]),
                        tuple(float(one) for one in choice["logprobs"]["token_logprobs"]),
                        choice["finish_reason"] == "stop",
                    )
                    for choice in sorted(found["choices"], key=lambda one: one["index"])
                ]
            except (KeyError, TypeError, ValueError):
                drawn = []
            if len(drawn) != count or any(len(ids) != len(logprobs) for ids, logprobs, _ in drawn):
                raise PolicyError(
                    f"{self.url}: expected {count} completions with ids and log-probabilities, got {str(found)[:200]}"
                )
            return drawn

        with ThreadPoolExecutor(_REQUESTS) as pool:
            return list(pool.map(ask, requests))

    def reload(self) -> None:
        """See `Engine.reload`."""
        told = {"method": "reload_weights", "kwargs": {"weights_path": str(self.folder)}}
        _call(f"{self.url}/collective_rpc", told)
        _call(f"{self.url}/reset_prefix_cache", {})


def _call(url: str, body: Any = None) -> Any:
    """The JSON that a server answers; empty where it answers nothing.

    Raises:
        PolicyError: it cannot be reached, or refuses.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            text = answer.read()
        return json.loads(text) if text.strip() else {}
    except urllib.error.HTTPError as error:
        said = error.read()[:300].decode("utf-8", "replace")
        raise PolicyError(f"{url}: {error.code} {' '.join(said.split())}") from error
    except (OSError, ValueError) as error:
        raise PolicyError(
            f"{url}: {error}; start a server with python -m learners.policies.vllm --model MODEL"
        ) from error


def _seed(seed: int, number: int, prompt: str) -> int:
    """A seed of a prompt's own."""
    digest = hashlib.sha256(f"{seed} {number} ".encode() + prompt.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "little") >> 1


def _folder(exchange: Path | None) -> Path:
    """The folder of the handover; one of our own ends with this process."""
    if exchange is not None:
        return exchange.resolve()
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="gasp-vllm-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Start a server of vLLM whose weights a learner may replace; ends when the server does."""
    parser = argparse.ArgumentParser(prog="python -m learners.policies.vllm", description=main.__doc__)
    parser.add_argument("--model", required=True, help="name, folder or GGUF file, as for the learner")
    parser.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="auto")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--context", type=int, default=8192, help="most tokens of prompt and completion")
    options, more = parser.parse_known_args(argv)
    policy = transformers.load(options.model, dtype=options.dtype)
    folder = _folder(None)
    write(policy, folder)
    policy.tokenizer.save_pretrained(folder)
    dtype = str(next(policy.module.parameters()).dtype).removeprefix("torch.")
    words = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)),
        *("--port", str(options.port), "--dtype", dtype, "--max-model-len", str(options.context)),
        *("--logprobs-mode", "processed_logprobs", *more),
    ]
    del policy
    return subprocess.run(words, env=os.environ | {"VLLM_SERVER_DEV_MODE": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
