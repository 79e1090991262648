from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.env import __main__ as command
from benchmarks.env import measure, plays, record, report, texts
from benchmarks.env.parts import PARTS, REST, Clocks, clocks, shares
from benchmarks.sandbox.measure import WrongAnswer
from gasp_env.domains.python.gate import check_static
from gasp_env.domains.python.parsing import parse_proposal
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.purity import keeps_state
from gasp_env.domains.python.rules import GateRules
from gasp_env.sandbox import Run, Sandbox, Status
from gasp_env.values import encode

SECONDS = st.floats(0.001, 1000)


@given(st.lists(SECONDS, min_size=1), st.floats(0, 10))
def test_an_env_that_takes_a_share_longer_has_that_overhead(
    sandbox_seconds: list[float], share: float
) -> None:
    env = [(1 + share) * seconds for seconds in sandbox_seconds]
    assert measure.overhead(env, sandbox_seconds) == pytest.approx(share, abs=1e-9)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1), st.floats(0.01, 100))
def test_overhead_does_not_depend_on_the_unit_nor_on_the_order_of_rounds(
    pairs: list[tuple[float, float]], unit: float
) -> None:
    env, sandbox = zip(*pairs, strict=True)
    found = measure.overhead(env, sandbox)
    assert found == pytest.approx(measure.overhead([unit * x for x in env], [unit * x for x in sandbox]))
    assert found == measure.overhead(env[::-1], sandbox[::-1])
    ratios = [one / other - 1 for one, other in pairs]
    assert min(ratios) - 1e-9 <= found <= max(ratios) + 1e-9
    assert found >= -1


@pytest.mark.parametrize(
    ("overhead", "own", "met"),
    [(0.04, 0.04, True), (0.06, 0.04, False), (-0.3, 0.2, False), (0.05, 0, False)],
)
def test_a_busy_machine_does_not_reach_the_goal(overhead: float, own: float, met: bool) -> None:
    seconds = {"env": [1.0] * measure.LEAST_ROUNDS}
    assert measure.is_met({"overhead": overhead, "own_over_sandbox": own, "seconds": seconds}) is met


@pytest.mark.parametrize("rounds", [1, 2])
def test_of_few_rounds_there_is_no_verdict(rounds: int) -> None:
    for overhead in (0.01, 0.5):
        few = {"overhead": overhead, "own_over_sandbox": 0.01, "seconds": {"env": [1.0] * rounds}}
        assert measure.is_met(few) is None


@given(st.integers(0, 10**6))
def test_tasks_are_valid_and_all_different(seed: int) -> None:
    rng = random.Random(seed)
    scripts = [texts.Script.make(rng, number, 4) for number in range(3)]
    assert len({script.program for script in scripts} | {script.mistake for script in scripts}) >= 4
    for script in scripts:
        proposal = parse_proposal(texts._proposal(script, refused=False))
        assert proposal.inputs == script.inputs
        check_static(proposal, GateRules())
        assert len({encode(arguments) for arguments in script.inputs}) == texts.INPUTS


def test_players_repeat_themselves_with_the_same_seed_only() -> None:
    def said(seed: int) -> list[str]:
        players = texts.Players(seed, 16)
        players.begin()
        return [players(env, "lemma", None, "", 1)[0] for env in range(16)]

    assert said(1) == said(1)
    assert len(set(said(1) + said(2))) == 32


@pytest.mark.docker
def test_programs_return_what_is_said_beside_them_and_mistakes_never(sandbox: Sandbox) -> None:
    rng = random.Random(0)
    scripts = [texts.Script.make(rng, number, 4) for number in range(60)]
    assert {keeps_state(Program(script.program)) for script in scripts} == {True, False}
    right = sandbox.run_many([Run(script.program, script.inputs) for script in scripts])
    wrong = sandbox.run_many([Run(script.mistake, script.inputs) for script in scripts])
    for script, result, mistaken in zip(scripts, right, wrong, strict=True):
        assert result.status is mistaken.status is Status.OK
        expected = [encode(output) for output in script.outputs]
        assert [encode(call.value) for call in result.calls] == expected
        pairs = zip((encode(call.value) for call in mistaken.calls), expected, strict=True)
        assert all(one != other for one, other in pairs)


@pytest.fixture(scope="module")
def recorder(sandbox: Sandbox) -> Any:
    with record.Recorder(sandbox.tier, 2) as opened:
        yield opened


@pytest.mark.docker
@pytest.mark.parametrize("case", [measure.Case(8, 1), measure.Case(0, 8)], ids=["8 envs", "single"])
def test_what_the_env_asked_is_what_was_executed(recorder: record.Recorder, case: measure.Case) -> None:
    figures = measure.Figures()
    before = recorder.runs
    measure.measure(recorder, case, 5, figures)
    [count], [played] = figures.executed, figures.plays
    most = record.executions(recorder.batches)
    least = record.fewest(recorder.batches, recorder.answers)
    assert most == sum(len(batch) for batch in _parts(recorder.batches))
    assert 0.8 * most < least <= count <= most
    assert 2 * least <= recorder.runs - before <= 2 * most
    # One batch a step, and every run of the play is in one.
    assert len(recorder.batches) == len(played.steps)
    assert played.episodes == 8
    assert set(played.stages) == {"lemma", "attempt", "lift", "solve"}
    verdicts = {verdict for _, verdict in played.verdicts}
    assert {"valid", "correct", "wrong", "exception", "malformed", "banned_import"} <= verdicts
    assert sum(played.verdicts.values()) == played.texts
    found = measure.summary(figures)
    assert found["overhead"] == round(figures.env[0] / figures.sandbox[0] - 1, 4)


def _parts(batches: list[list[Run]]) -> list[list[Run]]:
    """Batches with the runs of calls that must not know of each other taken apart."""
    return [
        [run for whole in batch for run in ([whole] * len(whole.inputs) if whole.fresh else [whole])]
        for batch in batches
    ]


@pytest.mark.docker
def test_answers_are_given_for_the_same_runs_only(recorder: record.Recorder) -> None:
    recorder.forget()
    runs = [Run(f"def f(x): return x + {number}", ((1,),)) for number in range(3)]
    given_then = recorder.run_many(runs)
    answers = record.Answers(recorder)
    assert answers.tier == recorder.tier
    assert answers.run_many(runs) is given_then
    with pytest.raises(WrongAnswer, match="batch 1"):
        answers.run_many(runs)
    with pytest.raises(WrongAnswer, match="batch 0"):
        record.Answers(recorder).run_many(runs[::-1])
    assert record.same(recorder.straight([runs]), [given_then])
    assert not record.same(recorder.straight([runs[::-1]]), [given_then])


@pytest.mark.docker
def test_calls_after_one_that_fails_need_not_be_executed(recorder: record.Recorder) -> None:
    recorder.forget()
    program = "def f(x):\n    return 1 // x"
    batch = [Run(program, ((1,), (0,), (2,), (3,)), fresh=fresh) for fresh in (True, False)]
    recorder.run_many(batch)
    assert record.executions(recorder.batches) == 5
    assert 2 <= record.fewest(recorder.batches, recorder.answers) <= 5
    recorder.forget()
    recorder.run_many([Run(program, ((1,), (2,), (3,)), fresh=True)])
    assert record.fewest(recorder.batches, recorder.answers) == record.executions(recorder.batches) == 3


@pytest.mark.docker
def test_a_run_that_is_not_executed_is_noticed(
    recorder: record.Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_dedupe", True)
    monkeypatch.setattr(texts.Players, "_next", lambda self: 1)
    with pytest.raises(WrongAnswer, match="executed, expected"):
        measure.measure(recorder, measure.Case(8, 1), 5, measure.Figures())


def test_clocks_stop_while_another_runs_and_leave_nothing_behind() -> None:
    before = {
        (owner, name): getattr(owner, name)
        for places in PARTS.values()
        for owner, names in places
        for name in names
    }
    with clocks() as running:
        assert all(getattr(owner, name) is not was for (owner, name), was in before.items())
    assert all(getattr(owner, name) is was for (owner, name), was in before.items())
    assert set(running.seconds) == set(PARTS)
    one = Clocks()
    inner = one.around("rewards", lambda: sum(range(200_000)))
    one.around("episode", lambda: inner())()
    assert one.seconds["rewards"] > one.seconds["episode"] > 0


@given(st.dictionaries(st.sampled_from(list(PARTS)), SECONDS), SECONDS)
def test_shares_add_up(seconds: dict[str, float], more: float) -> None:
    found = shares(seconds, sum(seconds.values()) + more)
    assert sum(found.values()) == pytest.approx(1, abs=0.002)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert set(found) == {*seconds, REST}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--envs", "0"], "--envs: expected at least 1, got 0"),
        (["--workers", "0"], "--workers: expected at least 1"),
        (["--repeats", "-1"], "--repeats: expected at least 1"),
        (["--seed", "-1"], "--seed: expected at least 0"),
        (["--sandbox", "vm"], "invalid choice: 'vm'"),
        (["--sandbox", "unsafe-subprocess"], "invalid choice"),
    ],
)
def test_bad_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--json", str(tmp_path)]) == 2
    assert "benchmarks.env:" in capsys.readouterr().err


def test_the_plan_plays_whole_patterns() -> None:
    assert command.parse(["--quick"]).envs == [1, 8, 64]
    assert command.parse([]).envs == [1, 8, 64, 256]
    cases, repeats = command.plan(command.parse(["--quick", "--envs", "1", "8", "64", "256"]))
    assert {name: case.count * case.episodes for name, case in cases.items() if case.count} == {
        "1": 8, "8": 8, "64": 64, "256": 256,
    }  # fmt: skip
    assert repeats == {"single": 2, "1": 2, "8": 2, "64": 1, "256": 1}
    assert set(command.plan(command.parse(["--repeats", "3"]))[1].values()) == {3}


@pytest.mark.docker
def test_the_report_has_its_shape(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "LIBRARY_ENVS", 2)
    out = tmp_path / "sub" / "out.json"
    arguments = ["--json", str(out), "--quick", "--envs", "8", "--repeats", "1", "--sandbox", sandbox.tier]
    assert command.main(arguments) == 0
    found: dict[str, Any] = json.loads(out.read_text())
    assert found["command"].endswith(f"--json out.json --quick --envs 8 --repeats 1 --sandbox {sandbox.tier}")
    assert {"machine", "versions", "seed", "seconds", "goal"} <= found.keys()
    assert found["quick"] is True
    assert found["rounds"] == {"single": 1, "8": 1}
    assert found["sandbox"] == {
        "tier": sandbox.tier,
        "workers": command.parse([]).workers,
        "dedupe": False,
        "cache": None,
    }
    assert found["overhead_over_sandbox"] == {"8": found["by_envs"]["8"]["overhead"]}
    assert found["goal"]["met"] is None, "64 envs were not played"
    assert found["by_envs"].keys() == {"single", "8"}
    assert set(found["library"]) == {"0", "1000"}
    for one in (*found["by_envs"].values(), *found["library"].values()):
        assert one["steps_per_s"] > 0
        assert one["resets_per_s"] > 0
        assert one["step_ms"]["p50"] <= one["step_ms"]["p99"]
        assert sum(one["own_by_part"].values()) == pytest.approx(1, abs=0.01)
    assert "overhead" in capsys.readouterr().out


@pytest.mark.docker
def test_one_round_with_as_many_envs_as_the_goal_has_is_no_verdict(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "LIBRARY_ENVS", 1)
    monkeypatch.setattr(command, "GOAL_ENVS", 8)
    out = tmp_path / "out.json"
    assert (
        command.main(
            ["--json", str(out), "--quick", "--envs", "8", "--repeats", "2", "--sandbox", sandbox.tier]
        )
        == 0
    )
    goal = json.loads(out.read_text())["goal"]
    assert goal["overhead"] is not None
    assert (goal["met"], goal["rounds"]) == (None, 2)
    assert "2 rounds, no verdict: overhead over the sandbox with 8 envs" in capsys.readouterr().out


def test_the_report_says_whether_the_goal_is_met() -> None:
    found: dict[str, Any] = {
        "sandbox": {"tier": "docker", "workers": 2}, "seconds": 1, "by_envs": {}, "library": {},
        "goal": {"envs": 64, "below": 0.05, "overhead": 0.04, "own_over_sandbox": 0.03, "rounds": 5, "met": True},
    }  # fmt: skip
    assert "met    overhead over the sandbox with 64 envs: 4.0%" in report.text(found)
    found["goal"] |= {"overhead": 0.1, "met": False}
    assert "MISSED overhead over the sandbox with 64 envs: 10.0%" in report.text(found)
    found["goal"] |= {"rounds": 1, "met": None}
    assert "\n1 round, no verdict: overhead over the sandbox with 64 envs: 10.0%" in report.text(found)


def test_a_play_that_misses_a_stage_is_noticed() -> None:
    played = plays.Played(episodes=8)
    played.stages.update(["lemma", "attempt", "solve"])
    with pytest.raises(WrongAnswer, match="reached lift"):
        measure._reached(played)
