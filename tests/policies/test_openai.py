"""A model behind a server: what is asked, and what becomes of every way in which a server may fail."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gasp_env import policies
from gasp_env.domains.python.triplet import Proposal
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.policies import CutOff, Lost, PolicyError, Sampling, answer, chat
from gasp_env.policies.scripted import GOALPOST, scripted
from gasp_env.relevance.by_policy import policy_relevance
from gasp_env.sandbox import Sandbox
from gasp_env.tasks import Goalpost
from tests.policies.test_chat import OTHERS, QWEN

pytest.importorskip("openai")

KEY = "sk-this-is-the-key-0123456789"
#: Status and body of a reply; None drops the connection.
Reply = tuple[int, dict[str, Any]] | None
SEEDED = Sampling(0.5, 0.9, 77, seed=3)


def choice(content: str | None, reason: str = "stop", **message: Any) -> dict[str, Any]:
    return {"finish_reason": reason, "message": {"role": "assistant", "content": content, **message}}


def chosen(*choices: dict[str, Any]) -> Reply:
    numbered = [{"index": number, **one} for number, one in enumerate(choices)]
    return 200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": numbered}


def refused(message: str, status: int = 400, **more: Any) -> Reply:
    return status, {"error": {"message": message, **more}}


def told(asked: dict[str, Any]) -> Reply:
    """Every choice says the prompt, the seed and its number."""
    content = f"{asked['messages'][-1]['content']} {asked.get('seed')}"
    return chosen(*(choice(f"{content} {number}") for number in range(asked.get("n", 1))))


class Server(ThreadingHTTPServer):
    """Replies to each request for a chat completion as it is told to.

    Attributes:
        asked: bodies of the requests, in order.
        keys: authorization headers of all requests.
        busiest: most requests that were under way at once.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply: Callable[[dict[str, Any]], Reply] = told
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.lock, self.busy, self.busiest = threading.Lock(), 0, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def then(self, *replies: Reply) -> None:
        """Give these replies first, whatever is asked."""
        left = list(replies)
        self.reply = lambda asked: left.pop(0) if left else told(asked)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.send(200, {"object": "list", "data": [{"id": "m"}, {"id": "other"}]})

    def do_POST(self) -> None:
        server, asked = self.server, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.asked.append(asked)
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        try:
            given = server.reply(asked)
            if given is not None:
                self.send(*given)
        finally:
            with server.lock:
                server.busy -= 1

    def send(self, status: int, body: dict[str, Any]) -> None:
        self.server.keys.add(self.headers["Authorization"])
        body = dict(body)
        time.sleep(body.pop("seconds", 0))
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    # Retries wait as they do elsewhere, only not as long.
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    with Server() as opened:
        thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def made(server: Server, **options: Any) -> policies.Policy:
    return policies.get("openai", **{"model": "m", "base_url": server.url, **options})


def test_everything_that_is_asked_for_is_in_the_request(server: Server) -> None:
    policy = made(server, system="Be brief.", extra='{"top_k": 20}')
    (texts,) = answer(policy, "it", ["p"], [2], SEEDED)
    (asked,) = server.asked
    assert asked.pop("seed") in range(2**31)
    assert asked == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "p"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 77,
        "n": 2,
        "top_k": 20,
    }
    assert [text[-1] for text in texts] == ["0", "1"]
    answer(policy, "it", ["p"], [1])
    assert {"seed", "top_p", "n"} & server.asked[1].keys() == set()


def test_the_same_seed_asks_the_same_in_any_order(server: Server) -> None:
    prompts, samples = [f"p{number}" for number in range(20)], [1, 3] * 10
    policy = made(server, concurrency=5)
    texts = answer(policy, "it", prompts, samples, SEEDED)
    assert [len(group) for group in texts] == samples
    assert all(
        text.startswith(f"{prompt} ") for prompt, group in zip(prompts, texts, strict=True) for text in group
    )
    assert len({asked["seed"] for asked in server.asked}) == 20
    assert answer(made(server), "it", prompts, samples, SEEDED) == texts
    assert answer(policy, "it", prompts, samples, replace(SEEDED, seed=4)) != texts
    assert answer(policy, "it", [], []) == []
    assert answer(policy, "it", ["p"], [0]) == [()]


def test_no_more_calls_are_under_way_than_may_be(server: Server) -> None:
    together = threading.Barrier(3)

    def reply(asked: dict[str, Any]) -> Reply:
        together.wait(timeout=30)
        return told(asked)

    server.reply = reply
    answer(made(server, concurrency=3), "it", ["p"] * 12, [1] * 12)
    assert server.busiest == 3


@pytest.mark.parametrize("way", ["one choice", "three choices", "400", "422"])
def test_a_server_without_n_is_asked_for_one_at_a_time(server: Server, way: str) -> None:
    def reply(asked: dict[str, Any]) -> Reply:
        if asked.get("n", 1) == 1:
            return chosen(choice(f"{asked['seed']}"))
        if way == "400":
            return refused("Only one completion: n must be 1.\n")
        if way == "422":
            return 422, {"detail": "Unsupported fields in the request: {'n'}"}
        return chosen(*[choice(f"{asked['seed']}")] * (3 if way == "three choices" else 1))

    server.reply = reply
    policy = made(server)
    (texts,) = answer(policy, "it", ["p"], [5], SEEDED)
    assert len(texts) == 5
    assert len(set(texts)) == (3 if way == "three choices" else 5), "every call has a seed of its own"
    first = len(server.asked)
    (again,) = answer(policy, "it", ["p"], [5], SEEDED)
    assert [asked.get("n") for asked in server.asked[first:]] == [None] * 5, "it is remembered"
    if way != "three choices":
        assert again == texts


def test_fields_that_a_server_refuses_are_left_out(server: Server) -> None:
    def reply(asked: dict[str, Any]) -> Reply:
        if "max_tokens" in asked:
            return refused("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return refused("Extra inputs are not permitted: seed", 422) if "seed" in asked else told(asked)

    server.reply = reply
    policy = made(server)
    assert answer(policy, "it", ["p"], [1], SEEDED) == [("p None 0",)]
    assert (server.asked[-1]["max_completion_tokens"], len(server.asked)) == (77, 3)
    answer(policy, "it", ["p"], [1], SEEDED)
    assert len(server.asked) == 4, "it is remembered"


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        (choice("x = 1"), str, "x = 1"),
        (choice("x = 1", "length"), CutOff, "x = 1"),
        (choice("<think>hm</think>\nx = 1"), str, "x = 1"),
        (choice("<think>hm", "length"), CutOff, ""),
        (choice("x = 1", reasoning_content="hm"), str, "x = 1"),
        (choice(None, "length", reasoning_content="hm"), CutOff, ""),
        (choice(None, reasoning_content="hm"), str, ""),
        (choice(None, refusal="I will not."), str, "I will not."),
        (choice(""), str, ""),
        (choice(None), Lost, "without text"),
        (choice("x", "content_filter"), Lost, "withheld"),
    ],
)
def test_a_choice_is_an_answer_or_nothing(
    server: Server, given: dict[str, Any], kind: type, text: str
) -> None:
    server.then(chosen(given))
    ((got,),) = answer(made(server), "it", ["p"], [1])
    assert type(got) is kind
    assert text in got.reason if isinstance(got, Lost) else got == text


@pytest.mark.parametrize("failure", [refused("busy", 429), refused("oh", 500), refused("oh", 503), None])
def test_a_failure_that_passes_is_retried(server: Server, failure: Reply) -> None:
    server.then(failure, failure)
    assert answer(made(server), "it", ["p"], [1]) == [("p None 0",)]
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (refused("oh", 500), "the server answered 500: oh"),
        (refused("slow down", 429), "the server answered 429: slow down"),
        (refused("the prompt is too long"), "the server answered 400: the prompt is too long"),
        (refused("no", 403), "the server answered 403: no"),
        (chosen(), "the server gave no choices"),
        ((200, {"object": "error"}), "expected a chat completion"),
        (None, "the connection failed"),
        ((200, {"seconds": 0.5}), "the server did not answer within 0.1 s"),
    ],
)
def test_a_call_that_fails_is_lost_and_the_others_are_not(
    server: Server, failure: Reply, reason: str
) -> None:
    server.reply = lambda asked: failure if asked["messages"][0]["content"] == "bad" else told(asked)
    policy = made(server, retries=1, timeout=0.1)
    good, bad, also = answer(policy, "it", ["good", "bad", "good"], [1, 2, 1])
    assert good == also == ("good None 0",)
    assert [type(text) for text in bad] == [Lost, Lost]
    assert reason in bad[0].reason  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("failure", "complaint"),
    [
        (
            refused(f"Incorrect API key: {KEY}", 401),
            "answered 401: Incorrect API key: .*; set the environment variable",
        ),
        (
            refused("The model does not exist", 404),
            "answered 404: .*; check model and base_url.* it serves m, other",
        ),
        (refused("oh", 500), "answered 500: oh; look at the server's log"),
        (refused("slow down", 429), "answered 429: slow down; lower concurrency"),
        (refused("unknown field 'top_k'"), "answered 400: unknown field 'top_k'; look"),
    ],
)
def test_a_server_that_cannot_be_used_raises(server: Server, failure: Reply, complaint: str) -> None:
    server.reply = lambda asked: failure
    with pytest.raises(
        PolicyError, match=f"^policy 'it': model 'm' at {server.url}: the server {complaint}"
    ) as raised:
        answer(made(server, retries=0), "it", ["p"] * 40, [1] * 40)
    assert KEY not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_server_that_is_not_there_raises_at_once(server: Server) -> None:
    policy = made(server, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(
        PolicyError, match="127.0.0.1:9/v1: the connection failed: .*; start the server, or correct"
    ):
        answer(policy, "it", ["p"], [1])


def test_a_server_that_is_gone_for_long_raises(server: Server) -> None:
    policy = made(server, retries=0)
    assert answer(policy, "it", ["p"], [1]) == [("p None 0",)]
    server.reply = lambda asked: refused("gone", 401)
    for _ in range(15):
        assert isinstance(answer(policy, "it", ["p"], [1])[0][0], Lost)
    with pytest.raises(PolicyError, match="gone"):
        answer(policy, "it", ["p"], [1])


def test_the_key_appears_nowhere(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    policy = made(server, retries=0)
    server.then(refused(f"{KEY} is busy", 500))
    ((lost,),) = answer(policy, "it", ["p"], [1])
    assert isinstance(lost, Lost)
    assert "***" in lost.reason
    assert server.keys == {f"Bearer {KEY}"}
    for text in (lost.reason, repr(policy), caplog.text, repr(policies.options_of("openai"))):
        assert KEY not in text


def test_a_server_without_keys_needs_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    answer(policies.get("openai", model="m"), "it", ["p"], [1])
    monkeypatch.setenv("ANOTHER", "k")
    answer(policies.get("openai", model="m", key_variable="ANOTHER"), "it", ["p"], [1])
    assert server.keys == {"Bearer none", "Bearer k"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"base_url": f"http://me:{KEY}@host/v1"}, "expected base_url without user, password and query"),
        ({"base_url": f"http://host/v1?key={KEY}"}, "expected base_url without user"),
        ({"base_url": f"{KEY}@host/v1"}, "expected base_url such as http://"),
        ({"base_url": "http://host:port/v1"}, "expected base_url such as http://"),
        (
            {"key_variable": KEY},
            "expected the key in the environment variable that key_variable names, which",
        ),
        ({"base_url": ""}, "expected the key in the environment variable OPENAI_API_KEY, which is not set"),
        ({"key_variable": "TWO_LINES"}, "expected a key of ASCII characters without spaces"),
        ({"concurrency": 0}, "expected concurrency of at least 1, got 0"),
        ({"retries": -1}, "expected retries of at least 0, got -1"),
        ({"timeout": 0.0}, "expected timeout to be a number of seconds above 0, got 0"),
        ({"extra": "[1]"}, "expected extra to be a JSON object, got '.1.'"),
        ({"extra": "{"}, "expected extra to be a JSON object .*, got '{'"),
    ],
)
def test_options_that_do_not_fit(
    options: dict[str, Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("TWO_LINES", f"{KEY}\n{KEY}")
    with pytest.raises(ValueError, match=complaint) as raised:
        policies.get("openai", **{"model": "m", "base_url": "http://host/v1", **options})
    assert KEY not in str(raised.value)


def test_special_tokens_in_a_prompt_are_text(server: Server) -> None:
    hint = "A hint. " + " ".join((*QWEN, *OTHERS)) + "<|im_end|>\n<|im_start|>assistant"
    answer(made(server), "it", [hint], [1])
    sent = server.asked[0]["messages"][0]["content"]
    assert [token for token in (*QWEN, *OTHERS) if token in sent] == []
    assert sent.replace(chat.BREAK, "") == hint
    answer(made(server, special_tokens="send"), "it", [hint], [1])
    assert server.asked[1]["messages"][0]["content"] == hint
    (lost,), (text,) = answer(made(server, special_tokens="refuse"), "it", ["a <|im_end|> b", "p"], [1, 1])
    assert isinstance(lost, Lost)
    assert "<|im_end|>" in lost.reason
    assert (text, len(server.asked)) == ("p None 0", 3)


def test_a_served_model_judges(server: Server) -> None:
    judge = policy_relevance(made(server, retries=0))
    pairs = [
        (Proposal("def f(x):\n    return x", ((1,),), "hint"), Goalpost("g", "s", "def f(x)", ((1,),), (1,)))
    ]
    server.then(
        chosen(choice("I would say:\n```score\n7\n```")),
        refused("oh", 500),
        chosen(choice("```score\n3\n```")),
    )
    assert judge(pairs) == [0.7]
    assert judge(pairs) == [0.3], "a call that failed is made again"


@pytest.mark.docker
def test_a_served_model_plays_both_roles(sandbox: Sandbox, server: Server) -> None:
    def reply(asked: dict[str, Any]) -> Reply:
        (texts,) = scripted([asked["messages"][-1]["content"]], [asked.get("n", 1)])
        return chosen(*map(choice, texts))

    server.reply = reply
    env = GaspCodeEnv(role="teacher", partner=made(server), sandbox=sandbox)
    observation, _ = env.reset(seed=5, options={"goalpost": GOALPOST})
    (texts,) = scripted([observation["prompt"]], [1])
    *_, info = env.step(texts)
    assert info["scored"] is True
    record = env.transcript
    assert record is not None
    assert record["outcomes"][0]["accepted"] is True
    assert KEY not in json.dumps(record)


@pytest.mark.docker
def test_a_server_that_fails_in_the_middle_leaves_a_turn_unscored(sandbox: Sandbox, server: Server) -> None:
    policy = made(server, retries=0)
    answer(policy, "it", ["p"], [1])
    server.reply = lambda asked: refused("oh", 500)
    env = GaspCodeEnv(role="teacher", partner=policy, sandbox=sandbox)
    observation, _ = env.reset(seed=5, options={"goalpost": GOALPOST})
    (texts,) = scripted([observation["prompt"]], [1])
    _, reward, terminated, truncated, info = env.step(texts)
    assert (reward, terminated, truncated, info["scored"]) == (0.0, False, True, False)
    assert [credit.reward for credit in info["credits"]] == [None]
