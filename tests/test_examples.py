"""The examples, run as a reader runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from gasp_env.policies.scripted import GOALPOST, scripted
from gasp_env.sandbox import Sandbox

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
pytestmark = pytest.mark.docker


def run(name: str, *arguments: str) -> str:
    """What the example printed; warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        # The example talks to a server on this machine, whatever proxy there is for others.
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "NO_PROXY": "127.0.0.1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_of_them_are_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "gymnasium_loop.py",
        "my_policy.py",
        "my_reward.py",
        "openai_policy.py",
        "pettingzoo_loop.py",
    }
    told = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f"`{path.name}`" in told


def test_the_gymnasium_loop(sandbox: Sandbox) -> None:
    printed = run("gymnasium_loop.py")
    assert "turn 0 sample 0: teacher_0 1.0 {'learnability': 1.0}" in printed
    assert re.findall(r"── turn \d · \w+ · (\w+)", printed) == [
        "lemma",
        "attempt",
        "lift",
        "attempt",
        "solve",
    ]
    assert "accepted  lemma, lift" in printed
    assert printed.count("turn 1 sample ") == 8


def test_the_pettingzoo_loop(sandbox: Sandbox) -> None:
    said = [line.split() for line in run("pettingzoo_loop.py").splitlines()]
    assert [(agent, stage) for agent, stage, *_ in said] == [
        ("teacher_0", "lemma"),
        ("solver_0", "attempt"),
        ("teacher_0", "lift"),
        ("solver_0", "attempt"),
        ("solver_0", "solve"),
        ("teacher_0", "over"),
        ("solver_0", "over"),
    ]
    assert [words[-1] for words in said if words[0] == "teacher_0"] == ["+0.000", "+1.000", "+0.970"]


class Server(ThreadingHTTPServer):
    """Speaks the chat completions protocol; the scripted player is its model."""

    def __init__(self, most: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.most = most
        self.asked: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    """One request of a server that gives at most ``most`` choices."""

    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked["path"] = self.path
        self.server.asked.append(asked)
        (texts,) = scripted([asked["messages"][0]["content"]], [asked["n"]])
        choices = [
            {"index": number, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for number, text in enumerate(texts[: self.server.most])
        ]
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": asked["model"],
            "choices": choices,
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(params=[8, 3])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server in a thread, with enough choices and with too few."""
    with Server(request.param) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def test_a_model_behind_a_server(sandbox: Sandbox, server: Server) -> None:
    port = server.server_address[1]
    printed = run("openai_policy.py", f"http://127.0.0.1:{port}/v1", "a-model", "5")
    assert {(asked["path"], asked["model"]) for asked in server.asked} == {
        ("/v1/chat/completions", "a-model")
    }
    assert server.asked[0]["messages"][0]["role"] == "user"
    due = [asked["n"] for asked in server.asked]
    assert due[:2] == [1, 8]
    # Where a server gives three of eight, five are still due, then two.
    if server.most == 3:
        assert due[2:4] == [5, 2]
        assert "3 texts: correct, correct, correct\n" in printed
    else:
        assert due == [1, 8, 1, 8, 1]
        assert "accepted  lemma, lift" in printed


def test_a_reward_of_ones_own(sandbox: Sandbox) -> None:
    chosen = f"{EXAMPLES / 'my_reward.py'}:mine"
    env = gym.make("GASP-Code-v0", teacher_reward=chosen, focal="teacher_0", partner="scripted")
    observation, _ = env.reset(seed=0, options={"goalpost": GOALPOST})
    terms, over = [], False
    while not over:
        (texts,) = scripted([observation["prompt"]], [1])
        observation, _, over, _, info = env.step(texts)
        terms += [dict(credit.terms) for credit in info["credits"]]
    half, eighth = 6.75 * 0.5 * 0.5**2, 6.75 * 0.125 * 0.875**2
    assert terms == [
        {"learnability": pytest.approx(half), "harder": 0.0},
        {"learnability": pytest.approx(eighth), "harder": 0.2},
    ]


def test_a_policy_of_ones_own(sandbox: Sandbox) -> None:
    chosen = f"{EXAMPLES / 'my_policy.py'}:load"
    played = subprocess.run(
        [sys.executable, "-m", "gasp_env.play", "--policy", chosen, "--words", "No idea."],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert (played.returncode, played.stderr) == (0, "")
    assert "No idea." in played.stdout
    assert "  = no task: no_program" in played.stdout
    env = gym.make("GASP-Code-v0", focal="teacher_0", partner=chosen)
    env.reset(seed=0, options={"goalpost": GOALPOST})
    ((lemma,),) = scripted([env.unwrapped.driver.turns[0].prompt], [1])
    *_, info = env.step(lemma)
    assert [credit.reward for credit in info["credits"]] == [-0.5]
