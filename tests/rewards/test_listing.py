"""`python -m gasp_env.rewards`, and that what it says is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gasp_env.rewards import TeacherRewards, specs, teacher_rewards
from gasp_env.rewards.__main__ import main, records
from gasp_env.rewards.needs import NEEDS, OFFERED
from gasp_env.rewards.registry import TEACHER_REWARDS

LISTED = [spec for spec in specs() if not spec.available]
BUILT_IN = [spec for spec in specs() if spec.available]


def test_the_command_lists_everything_as_json() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "gasp_env.rewards", "--json"], capture_output=True, text=True, check=True
    )
    listed = json.loads(ran.stdout)
    teachers = [reward for reward in listed if reward["kind"] == "teacher"]
    assert len([reward for reward in teachers if reward["available"]]) >= 24
    assert {reward["id"] for reward in teachers} == {spec.name for spec in specs()}
    assert {reward["id"] for reward in listed if reward["kind"] == "solver"} == {"azr", "binary"}
    for reward in listed:
        assert reward["source"]
        assert reward["formula"]
        assert set(reward["needs"]) <= set(NEEDS)
        assert reward["available"] == (set(reward["needs"]) <= OFFERED)


def test_the_table_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for reward in records():
        assert re.search(rf"^  {reward['id']} ", printed, re.MULTILINE)
        assert reward["formula"] in printed


def test_the_table_has_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own_of_listing.py"
    own.write_text(
        "from gasp_env import teacher_reward\n"
        "@teacher_reward('listed_own', needs=['batch'])\n"
        "def listed_own(outcomes):\n    '''Half.'''\n    return [{'half': 0.5} for _ in outcomes]\n"
    )
    with TEACHER_REWARDS.isolated():
        assert main([str(own), "--json"]) == 0
    (found,) = [reward for reward in json.loads(capsys.readouterr().out) if reward["id"] == "listed_own"]
    assert (found["formula"], found["needs"], found["tag"]) == ("Half.", ["batch"], "ours")
    assert main(["no_such_file.py"]) == 2
    assert "no_such_file.py" in capsys.readouterr().err


@pytest.mark.parametrize("spec", BUILT_IN, ids=lambda spec: spec.name)
def test_docstrings_say_formula_and_source(spec) -> None:
    # The last is two rewards by stage, whose docstrings are checked as theirs.
    if spec.name == "gasp":
        assert spec.formula == "lemma: gasp_lemma, lift: gasp_lift"
        return
    text = spec.function.__doc__
    assert text.partition("\n")[0] == spec.formula
    assert "\n    Source: " in text
    assert re.search(r"arXiv \d{4}\.\d{5}|github\.com/|^ours", spec.source)
    assert re.search(r"Range\s+\[", text) or spec.source == "ours, a control"
    if spec.tag == "ours":
        assert "Source: ours" in text


@pytest.mark.parametrize("spec", LISTED, ids=lambda spec: spec.name)
def test_what_is_only_listed_says_what_it_would_need(spec) -> None:
    missing = sorted(spec.needs - OFFERED)
    assert missing
    with pytest.raises(ValueError, match=f"{spec.name}.*cannot be computed here.*{missing[0]}"):
        TeacherRewards(spec.name)
    assert spec.name not in teacher_rewards()


def test_every_need_is_of_use() -> None:
    assert {need for spec in specs() for need in spec.needs} == set(NEEDS)


def test_rows_of_the_reference_are_all_there() -> None:
    rows = (
        "azr_paper azr_code azr_inverse chae_peak chae_hard gasp_lemma gasp_lift rzero_paper rzero_code spice "
        "socratic_gauss spell_gauss learnability sqlm darc pasodoble soar populora seirenes sgs ssr vhg ssp sqlzero "
        "agent0 opensir svs evoenv mae lsp sukhbaatar paired eva spade disagree novelty random uniform_valid "
        "const_valid"
    ).split()
    assert set(rows) <= {spec.name for spec in specs()}
