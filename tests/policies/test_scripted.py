"""The scripts: complete, and read once. That they play every stage is in `tests/test_play.py`."""

from __future__ import annotations

from gasp_env.policies.scripted import UNKNOWN, UNSURE, Script, scripted, scripts, silent
from gasp_env.tasks import AXES


def test_every_axis_has_a_lemma_and_a_lift() -> None:
    assert tuple(scripts()) == AXES
    for pair in scripts().values():
        assert all(isinstance(script, Script) for script in pair)
        for script in pair:
            assert len(script.inputs) == len(script.outputs) == 10
            assert script.program.startswith("def f(")
            assert script.program.endswith("\n")
            assert len({script.program, script.answer, *script.mistakes}) == 4
    assert scripts() is scripts()


def test_prompts_it_does_not_know() -> None:
    assert scripted(["who are you?"], [3]) == [(UNSURE,) * 3]
    assert silent(["who are you?", "and you?"], [1, 2]) == [(UNKNOWN,), (UNKNOWN,) * 2]
