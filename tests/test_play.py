from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gasp_env import play, values
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.policies.scripted import GOALPOST, scripted, scripts
from gasp_env.sandbox import Run, Sandbox, Status
from gasp_env.transcripts.render import render_transcript

PROGRAM = (
    "def f(x):\n    total = 7\n    for _ in range(3):\n        total = total * 2 + x\n    return total\n"
)
STAGES = ["lemma", "attempt", "lift", "attempt", "solve"]
HERE = str(Path(__file__).resolve())


def needy(model: str, times: int = 1) -> Any:
    """A factory of a policy, with an option that it needs."""
    if model == "none":
        raise ValueError("no model")

    def says(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
        if model == "broken":
            raise RuntimeError("out of memory")
        return [(" ".join([model] * times),) * count for count in samples]

    return says


def command(*arguments: str, typed: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gasp_env.play", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=180,
        cwd=cwd,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An episode file that the command line wrote."""
    path = tmp_path_factory.mktemp("play") / "episode.jsonl"
    done = command("--seed", "3", "--save", str(path), "--sandbox", "docker")
    assert done.returncode == 0, done.stderr
    path.with_suffix(".txt").write_text(done.stdout, encoding="utf-8")
    return path


@pytest.mark.docker
def test_the_command_shows_an_episode_from_lemma_to_solve(sandbox: Sandbox, stored: Path) -> None:
    printed = stored.with_suffix(".txt").read_text(encoding="utf-8")
    headings = [line for line in printed.splitlines() if line.startswith("── turn")]
    assert [heading.split(" · ")[2].strip() for heading in headings] == STAGES
    assert printed.startswith("gasp · goalpost calendar-gaps · seed ")
    assert printed.splitlines()[0].endswith(" · seed 3")
    assert "  │ You write short exercises that prepare a programming student" in printed
    assert (
        "  = lemma solved 4 of 8: accepted · teacher_0 for turn 0: reward +1.000 [learnability +1.000]"
        in printed
    )
    assert "  = lift solved 1 of 8: accepted · teacher_0 for turn 2: reward +0.97" in printed
    assert "  → 4 × correct · reward +1.000" in printed
    assert "malformed (expected a block with a program, found none) · reward -1.000" in printed
    assert "accepted  lemma, lift" in printed
    assert "tier docker" in printed
    assert "\x1b" not in printed, "colour is for terminals"


@pytest.mark.docker
def test_a_stored_episode_plays_again(sandbox: Sandbox, stored: Path) -> None:
    done = command("--replay", str(stored), "--sandbox", "docker")
    assert (done.returncode, done.stderr) == (0, "")
    # Four runs for each of two proposals, at least one for each distinct readable attempt.
    runs = int(done.stdout.split(" turns, ")[1].split(" runs")[0])
    assert runs >= 2 * 4 + 2 * 3
    assert "1 of 1 episodes play again exactly as stored" in done.stdout


@pytest.mark.docker
@pytest.mark.parametrize("curriculum", ["azr", "rlvr"])
def test_episodes_of_other_curricula_play_again(sandbox: Sandbox, tmp_path: Path, curriculum: str) -> None:
    env = GaspCodeEnv(curriculum=curriculum, attempts=2)
    path = tmp_path / "episodes.jsonl"
    stages = set()
    for seed in range(4):
        _, info = env.reset(seed=seed)
        over = False
        while not over:
            # Of kind induction the program is given, and 10 inputs are due; of the others one.
            inputs = ["3", *(str(n) for n in range(10, 19))][: 10 if info["kind"] == "induction" else 1]
            text = "\n".join([f"```python\n{PROGRAM}```", *(f"```input\n{given}\n```" for given in inputs)])
            _, _, terminated, truncated, info = env.step(text)
            over = terminated or truncated
        record = env.transcript
        assert record is not None
        stages |= {turn["stage"] for turn in record["turns"]}
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")
    assert stages == ({"propose", "attempt", "solve"} if curriculum == "azr" else {"goalpost"})
    done = command("--replay", str(path), "--sandbox", "docker")
    assert (done.returncode, done.stderr) == (0, "")
    title = "azr · no goalpost · seed " if curriculum == "azr" else "rlvr · goalpost "
    assert done.stdout.startswith(f"episode 1: {title}")
    assert "4 of 4 episodes play again exactly as stored" in done.stdout
    shown = command("--replay", str(path), "--episode", "2", "--sandbox", "docker")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(title)


def _wrong_to_correct(record: dict[str, Any]) -> str:
    samples = record["turns"][1]["samples"]
    place = next(number for number, sample in enumerate(samples) if sample["verdict"] == "wrong")
    samples[place]["verdict"] = "correct"
    return f"turns[1].samples[{place}].verdict: stored 'correct', replayed 'wrong'"


def _other_reward(record: dict[str, Any]) -> str:
    record["turns"][0]["samples"][0]["reward"] = 0.5
    return "turns[0].samples[0].reward: stored 0.5, replayed 1.0"


def _other_count(record: dict[str, Any]) -> str:
    record["outcomes"][1]["correct"] = 2
    return "outcomes[1].correct: stored 2, replayed 1"


def _other_text(record: dict[str, Any]) -> str:
    record["turns"][1]["samples"][0]["text"] = "no idea"
    return "turns[1].samples[0].verdict: stored 'correct', replayed 'malformed'"


def _other_prompt(record: dict[str, Any]) -> str:
    record["turns"][4]["prompt"] = "Say yes."
    return "turns[4].prompt: stored 'Say yes.'"


@pytest.mark.docker
@pytest.mark.parametrize(
    "alter", [_wrong_to_correct, _other_reward, _other_count, _other_text, _other_prompt]
)
def test_replay_reports_what_was_altered(
    sandbox: Sandbox,
    stored: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    alter: Callable[[dict[str, Any]], str],
) -> None:
    line = stored.read_text()
    record = json.loads(line)
    expected = alter(record)
    path = tmp_path / "altered.jsonl"
    path.write_text(line + json.dumps(record) + "\n")
    assert play.main(["--replay", str(path), "--sandbox", "docker"]) == 1
    printed = capsys.readouterr().out
    assert "episode 1: gasp · goalpost calendar-gaps · seed " in printed
    assert "identical" in printed
    assert f"  ! {expected}" in printed
    assert "1 of 2 episodes play again exactly as stored" in printed
    assert play.main(["--replay", str(path), "--episode", "1", "--sandbox", "docker"]) == 0
    assert "── turn 4 · solver_0 · solve" in capsys.readouterr().out


@pytest.mark.docker
def test_the_scripted_player_knows_both_axes_and_every_kind(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(sandbox=sandbox)
    seen = set()
    for seed in range(16):
        observation, _ = env.reset(seed=seed, options={"goalpost": GOALPOST})
        over = False
        while not over:
            (texts,) = scripted([observation["prompt"]], [observation["samples"]])
            observation, _, terminated, truncated, _ = env.step(texts)
            over = terminated or truncated
        record = env.transcript
        assert record is not None
        assert [turn["stage"] for turn in record["turns"]] == STAGES
        assert [outcome["accepted"] for outcome in record["outcomes"]] == [True, True]
        assert record["turns"][4]["samples"][0]["verdict"] == "correct"
        seen.add((record["turns"][0]["axis"], record["turns"][4]["kind"]))
    assert seen == {(axis, kind) for axis in ("io", "f") for kind in ("induction", "deduction", "abduction")}


@pytest.mark.docker
def test_what_the_scripted_player_wrote_down_is_what_its_programs_return(sandbox: Sandbox) -> None:
    written = [script for pair in scripts().values() for script in pair]
    inputs = [tuple(values.parse_arguments(text) for text in script.inputs) for script in written]
    runs = [
        Run(program, given)
        for script, given in zip(written, inputs, strict=True)
        for program in (script.program, script.answer)
    ]
    results = sandbox.run_many(runs)
    for number, result in enumerate(results):
        assert result.status is Status.OK, result.error
        assert tuple(values.render(call.value) for call in result.calls) == written[number // 2].outputs


@pytest.mark.docker
def test_a_person_can_play(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    typed = "I would rather not.\nReally.\n.\n"
    done = command("--human", "--goalpost", "late-fees", "--save", str(path), typed=typed)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  → no_program" in done.stdout
    assert "  = no task: no_program · teacher_0 for turn 0: reward -1.000" in done.stdout
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["turns"][0]["samples"][0]["text"] == "I would rather not.\nReally."


@pytest.mark.docker
def test_a_person_attempts_one_text_at_a_time(sandbox: Sandbox) -> None:
    env = GaspCodeEnv()
    observation, _ = env.reset(seed=3, options={"goalpost": GOALPOST})
    ((proposal,),) = scripted([observation["prompt"]], [1])
    typed = "\n.\n".join([proposal, "no idea", "none", ""])
    done = command("--human", "--goalpost", GOALPOST, "--seed", "3", "--attempts", "2", typed=typed)
    assert done.returncode == 0, done.stderr
    assert "your answer (2 to go)" in done.stdout
    assert done.stdout.count("── turn 1 ") == 1
    assert "  = lemma solved 0 of 2: not accepted" in done.stdout


@pytest.mark.docker
def test_a_person_can_stop(sandbox: Sandbox, tmp_path: Path) -> None:
    done = command("--human", "--save", str(tmp_path / "never.jsonl"), typed="half an ans")
    assert done.returncode == 2
    assert "not finished" in done.stderr
    assert not (tmp_path / "never.jsonl").exists()


@pytest.mark.docker
def test_a_person_may_play_one_role(sandbox: Sandbox) -> None:
    done = command(
        *("--human", "--teacher-policy", "scripted", "--attempts", "2"), typed="no idea\n.\nnone\n.\nno\n.\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "  = lemma solved 0 of 2: not accepted" in done.stdout


@pytest.mark.docker
def test_each_role_plays_by_its_policy(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "episode.jsonl"
    words = ["--solver-policy", f"{HERE}:needy", "--solver-model", "pass", "--solver-times", "2"]
    assert play.main([*words, "--save", str(path), "--sandbox", "docker"]) == 0
    (line,) = path.read_text().splitlines()
    said = {turn["agent"]: turn["samples"][0]["text"] for turn in json.loads(line)["turns"]}
    assert said["solver_0"] == "pass pass"
    assert said["teacher_0"].startswith("```python\ndef f(bookings")
    capsys.readouterr()
    assert play.main(["--policy", f"{HERE}:needy", "--model", "broken", "--sandbox", "docker"]) == 2
    printed = capsys.readouterr().err
    assert "failed at 1 prompts: RuntimeError: out of memory" in printed
    assert printed.count("\n") == 1


def _no_outcome(record: dict[str, Any]) -> str:
    record["outcomes"] = [{}]
    return "field 'outcomes[0].turn': expected the field, came nothing"


def _large_library(record: dict[str, Any]) -> str:
    record["view"]["sizes"]["accepted"] = 1e30
    return "field 'view.sizes.accepted': expected an integer from 0"


def _endless_references(record: dict[str, Any]) -> str:
    record.update(curriculum="azr", options={"references": 10**9})
    record["view"]["sizes"] = {f"all/{kind}": 10**9 for kind in ("deduction", "abduction")}
    return "expected references to be an integer of at least 0 and at most 1000"


def _endless_attempts(record: dict[str, Any]) -> str:
    record["options"]["attempts"] = 10**9
    return "expected attempts to be an integer of at least 1 and at most 10000"


def _endless_lifts(record: dict[str, Any]) -> str:
    record["options"]["lifts"] = 10**9
    return "expected lifts to be an integer of at least 0 and at most 100"


def _no_such_option(record: dict[str, Any]) -> str:
    record["options"]["\x1b[2J"] = 10**9
    return "there is no option"


def _other_rules(record: dict[str, Any]) -> str:
    record["rules"] = 0
    return "was played under version 0 of the rules"


def _no_seed(record: dict[str, Any]) -> str:
    record["seed"] = None
    return "field 'seed': expected an integer from 0"


def _no_goalpost(record: dict[str, Any]) -> str:
    record["goalposts"]["played"] = {}
    return "which the stored one did not"


def _number_for_text(record: dict[str, Any]) -> str:
    record["turns"][0]["samples"][0]["text"] = 7
    return "field 'turns[0].samples[0].text': expected a text, came 7"


def _escape_for_field(record: dict[str, Any]) -> str:
    record["turns"][0]["samples"][0]["terms"] = {"\x1b[2J\nidentical": "x"}
    return "expected a finite number, came 'x'"


@pytest.mark.docker
@pytest.mark.parametrize(
    "alter",
    [
        _no_outcome,
        _large_library,
        _endless_references,
        _endless_attempts,
        _endless_lifts,
        _no_such_option,
        _other_rules,
        _no_seed,
        _no_goalpost,
        _number_for_text,
        _escape_for_field,
    ],
)
def test_a_broken_transcript_is_one_line(
    sandbox: Sandbox,
    stored: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    alter: Callable[[dict[str, Any]], str],
) -> None:
    record = json.loads(stored.read_text())
    expected = alter(record)
    path = tmp_path / "broken.jsonl"
    path.write_text(json.dumps(record) + "\n")
    for more in ([], ["--episode", "1"]):
        assert play.main(["--replay", str(path), "--sandbox", "docker", *more]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert expected in printed.err
        assert printed.err.count("\n") == 1
        assert "\x1b" not in printed.err


@pytest.mark.docker
def test_a_transcript_cannot_drive_the_terminal(
    sandbox: Sandbox, stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads(stored.read_text())
    (played,) = record["goalposts"]["played"].values()
    played["id"] = "\x1b]0;title\x07\nepisode 2: identical"
    record["turns"][0]["samples"][0]["terms"] = {"\x1b[2J\nepisode 3: identical": 1.0}
    record["turns"][0]["samples"][0]["verdict"] = "\x1b[2J\nepisode 4: identical"
    record["\x1b[2J\nepisode 5\ud800"] = ["\x1b[2J"]
    path = tmp_path / "escapes.jsonl"
    path.write_text(json.dumps(record) + "\n")
    for more in ([], ["--episode", "1"]):
        assert play.main(["--replay", str(path), "--sandbox", "docker", *more]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert all(line.isprintable() for line in lines)
        assert sum(line.startswith("episode") for line in lines) == 1
        assert sum(line.startswith("  ! ") for line in lines) == 4


def test_a_file_that_cannot_be_written_is_noticed_before_anybody_plays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(prompt: str, samples: int) -> tuple[str, ...]:
        raise AssertionError("nothing may be asked")

    monkeypatch.setattr(play, "ask_person", ask)
    for path in (tmp_path / "absent" / "x.jsonl", tmp_path):
        assert play.main(["--human", "--goalpost", "late-fees", "--save", str(path)]) == 2
        printed = capsys.readouterr()
        assert str(path) in printed.err
        assert printed.out == ""


def test_to_see_whether_a_file_can_be_written_changes_nothing(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept.jsonl", tmp_path / "link.jsonl"
    kept.write_text("{}\n")
    link.symlink_to(tmp_path / "absent.jsonl")
    for path in (kept, link, tmp_path / "new.jsonl"):
        play.check_writable(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.jsonl", "link.jsonl"]
    assert link.is_symlink()
    assert kept.read_text() == "{}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["--goalpost", "late-fees"],
            "the scripted player plays 'calendar-gaps' of the domain 'python' only",
        ),
        (["--domain", "nowhere:domain"], "domain 'nowhere:domain': 'nowhere' cannot be imported"),
        (["--human", "--goalpost", "no-such"], "got 'no-such'"),
        (["--attempts", "0"], "integer of at least 1"),
        (["--seed", "-1"], "expected a seed of at least 0"),
        (["--policy", "gpt"], "expected a policy among scripted, silent"),
        (["--modle", "m"], "unrecognized: --modle m; policy 'scripted' takes no options"),
        (["--solver-policy", "gpt"], "expected a policy among scripted, silent"),
        (["--policy", "silent", "--temperature", "-1"], "expected temperature to be a number of at least 0"),
        (["--policy", f"{HERE}:needy"], "required: --model; policy"),
        (["--policy", f"{HERE}:needy", "--model", "none"], "cannot be made: ValueError: no model"),
        (["--replay", "absent.jsonl"], "absent.jsonl"),
        (["--replay", "empty.jsonl"], "expected at least one transcript"),
        (["--replay", "text.jsonl"], "text.jsonl, line 1"),
        (["--replay", "bytes.jsonl"], "bytes.jsonl: expected text in UTF-8"),
    ],
)
def test_what_cannot_be_played_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "text.jsonl").write_text("hello\n")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\n")
    assert play.main(arguments) == 2
    assert complaint in capsys.readouterr().err


def test_text_of_a_model_cannot_drive_the_terminal() -> None:
    sample = {
        "text": "\x1b[2Jgone\x07",
        "verdict": "malformed",
        "detail": "\x1b]0;x",
        "reward": -1.0,
        "terms": {},
    }
    turn = {
        "index": 0,
        "agent": "solver_0",
        "stage": "solve",
        "kind": "induction",
        "axis": None,
        "prompt": "p",
    }
    record = {
        "goalposts": {"count": 1, "played": {"0": {"id": "g"}}},
        "curriculum": "gasp",
        "agents": {"solver": "solver_0"},
        "seed": 0,
        "turns": [{**turn, "samples": [sample]}],
        "outcomes": [],
        "done": True,
        "truncated": False,
    }
    rendered = render_transcript(record, prompts=True)
    assert "gone" in rendered
    assert all(character.isprintable() or character == "\n" for character in rendered)


def test_colour_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    play.Terminal(colour=True).say("── turn 0\nplain")
    play.Terminal().say("── turn 1")
    assert capsys.readouterr().out == "\x1b[1m── turn 0\x1b[0m\nplain\n── turn 1\n"


@pytest.mark.docker
def test_a_reader_may_stop_reading(sandbox: Sandbox) -> None:
    stored = Path(__file__).resolve().parents[1] / "benchmarks/results/train/episodes.jsonl"
    command = [sys.executable, "-u", "-m", "gasp_env.play", "--replay", str(stored)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as playing:
        assert playing.stdout is not None
        assert playing.stderr is not None
        assert playing.stdout.readline()
        playing.stdout.close()
        assert playing.stderr.read() == ""
