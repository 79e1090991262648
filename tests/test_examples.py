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

from gasp_env.envs import aec
from gasp_env.policies import Completion
from gasp_env.policies.scripted import GOALPOST, scripted
from gasp_env.sandbox import Sandbox
from gasp_env.transcripts.replay import replay

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
        "my_curriculum.py",
        "my_domain.py",
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
    env = gym.make("GASP-Code-v0", teacher_reward=chosen, role="teacher", partner="scripted")
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
    env = gym.make("GASP-Code-v0", role="teacher", partner=chosen)
    env.reset(seed=0, options={"goalpost": GOALPOST})
    ((lemma,),) = scripted([env.unwrapped.driver.turns[0].prompt], [1])
    *_, info = env.step(lemma)
    assert [credit.reward for credit in info["credits"]] == [-0.5]


# --- a game and a domain of one's own, in every view -----------------------------------------------

MISLEAD = f"{EXAMPLES / 'my_curriculum.py'}:Mislead"
ARITHMETIC = f"{EXAMPLES / 'my_domain.py'}:Arithmetic"


class Unopened:
    """Stands where a sandbox would: nothing may be executed in it."""

    tier = "none"

    def open(self) -> None:
        raise AssertionError("a domain that executes nothing opened a sandbox")

    run_many = open


def words(stage: str, samples: int, number: int) -> tuple[str, ...]:
    """What the tests' player writes, whatever it reads."""
    if stage in ("lemma", "lift", "propose"):
        return (f"One and one, and {number} more. :: 1 + 1 + {number}",)
    if stage == "mislead":
        return ("The answer is 7.",)
    return tuple(["I think it is 2."] * (samples // 2) + ["7"] * (samples - samples // 2))


def play_single(env: gym.Env[Any, Any]) -> tuple[list[Any], dict[str, Any]]:
    """All credits of an episode, and its transcript."""
    observation, info = env.reset(seed=5)
    told, over, number = [], False, 0
    while not over:
        assert observation in env.observation_space
        texts = words(info["stage"], int(observation["samples"]), number)
        number += info["role"] == "teacher"
        observation, _, terminated, truncated, info = env.step(texts)
        told += info["credits"]
        over = terminated or truncated
    assert not truncated
    return told, env.unwrapped.transcript


def options_of(chosen: str) -> dict[str, Any]:
    if chosen == "mislead":
        return {"curriculum": MISLEAD, "domain": ARITHMETIC, "sandbox": Unopened(), "attempts": 4}
    return {"curriculum": chosen, "domain": ARITHMETIC, "sandbox": Unopened(), "attempts": 4}


@pytest.mark.parametrize("chosen", ["gasp", "azr", "rlvr", "mislead"])
def test_a_game_and_a_domain_of_ones_own_in_every_view(chosen: str) -> None:
    options = options_of(chosen)
    told, record = play_single(gym.make("gasp_env:GASP-Code-v0", **options))
    stages = [turn["stage"] for turn in record["turns"]]
    expected = {
        "gasp": ["lemma", "attempt", "lift", "attempt", "solve"],
        "azr": ["propose", "attempt", "solve"],
        "rlvr": ["goalpost"],
        "mislead": ["goalpost", "mislead", "misled"],
    }[chosen]
    assert stages == expected
    # Batched: the same episode in every slot that has its seed.
    envs = gym.make_vec("gasp_env:GASP-Code-v0", num_envs=2, **options)
    envs.reset(seed=[5, 5])
    numbers = 0
    while any(turn is not None for turn in envs.unwrapped.turns):
        turn = envs.unwrapped.turns[0]
        texts = words(turn.stage, turn.samples, numbers)
        numbers += turn.role == "teacher"
        envs.step([texts, texts])
    assert envs.unwrapped.transcripts == [record, record]
    # PettingZoo: the same credits.
    zoo = aec.env(**options)
    zoo.reset(seed=5)
    heard, numbers = [], 0
    for agent in zoo.agent_iter():
        observation, _, terminated, truncated, info = zoo.last()
        if terminated or truncated:
            heard += info["credits"]
            zoo.step(None)
            continue
        heard += info["credits"]
        texts = words(info["stage"], int(observation["samples"]), numbers)
        numbers += agent.startswith("teacher")
        zoo.step(texts)
    assert sorted(map(str, heard)) == sorted(map(str, told))
    # One role alone.
    env = gym.make("gasp_env:GASP-Code-v0", role="solver", partner=Partner(), **options)
    _, alone = play_single(env)
    assert [turn["stage"] for turn in alone["turns"]] == expected
    # Stored, and played again.
    assert replay(json.loads(json.dumps(record)), Unopened(), trust=True) == []


class Partner:
    """Plays what `words` has for proposals."""

    version = 0

    def generate(self, prompts: Any, samples: Any, sampling: Any) -> Any:
        self.number = getattr(self, "number", -1) + 1
        stage = ["mislead" if "makes a solver fail" in prompt else "lemma" for prompt in prompts]
        return [[Completion(words(one, 1, self.number)[0])] for one in stage]


def test_an_adversary_is_paid_for_what_it_takes_away() -> None:
    options = options_of("mislead")
    env = gym.make("gasp_env:GASP-Code-v0", **options)
    _, info = env.reset(seed=1)
    answers = {"trains": "1008", "hens": "125"}
    (goalpost,) = env.unwrapped.transcript["goalposts"]["played"].values()
    right, paid = answers[goalpost["id"]], []
    for texts in ((right,) * 3 + ("1",), "Think of 7.", (right,) + ("7",) * 3):
        *_, info = env.step(texts)
        paid += [credit.reward for credit in info["credits"] if credit.agent == "adversary_0"]
    assert paid == [0.5]
    env.reset(seed=2)
    env.step(("1",) * 4)
    *_, terminated, _, info = env.step("  ")
    assert (terminated, [credit.terms for credit in info["credits"]]) == (True, [{"invalid": -1.0}])


def test_such_a_domain_is_played_in_the_terminal_without_a_sandbox(tmp_path: Path) -> None:
    policy = tmp_path / "nine.py"
    policy.write_text(
        "from gasp_env.policies import Completion\n"
        "class Nine:\n"
        "    def generate(self, prompts, samples, sampling):\n"
        "        return [[Completion('Nine. :: 4 + 5')] * n for n in samples]\n"
        "def load():\n"
        "    return Nine()\n"
    )
    command = [
        "-m",
        "gasp_env.play",
        "--domain",
        ARITHMETIC,
        "--policy",
        f"{policy}:load",
        "--sandbox",
        "docker",
    ]
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "DOCKER_HOST": "unix:///absent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "sandbox" not in done.stdout


def test_two_problems_with_one_answer_are_not_duplicates() -> None:
    env = gym.make("gasp_env:GASP-Code-v0", **options_of("gasp"))
    env.reset(seed=0)
    *_, info = env.step("Two apples and two pears. :: 2 + 2")
    assert info["verdicts"] == ["valid"]
    env.step(("4", "4", "1", "1"))
    *_, info = env.step("Ten less six, in other words. :: 10 - 6")
    assert info["verdicts"] == ["valid"]
    env.step(("4", "1", "1", "1"))
    env.step("4")
    env.reset()
    *_, info = env.step("two apples  and two pears. :: 3 + 1")
    assert info["verdicts"] == ["duplicate"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        " :: 4",
        "x :: y",
        "x :: 2 ** 99",
        "x :: __import__('os')",
        "x :: " + "(" * 400,
        "x :: 1/0",
        "x :: 9" * 300,
    ],
)
def test_a_text_that_is_no_problem_is_no_traceback(text: str) -> None:
    env = gym.make("gasp_env:GASP-Code-v0", **options_of("gasp"))
    env.reset(seed=0)
    *_, info = env.step(text)
    assert info["verdicts"] == ["unreadable"]


def test_they_are_as_short_as_promised() -> None:
    lines = {name: (EXAMPLES / name).read_text().count("\n") for name in ("my_curriculum.py", "my_domain.py")}
    assert lines["my_curriculum.py"] < 60
    assert lines["my_domain.py"] < 120
