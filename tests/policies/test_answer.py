"""What a policy gives is checked before anybody relies on it."""

from __future__ import annotations

from typing import Any

import pytest

from gasp_env.policies import Completion, PolicyError, Sampling, answer, complete, get

GOOD = Completion("x", (1,), (2, 3), (-0.5, -0.1))


class Gives:
    """Gives what it was told to."""

    version = 0

    def __init__(self, given: Any) -> None:
        self.given = given

    def generate(self, prompts: Any, samples: Any, sampling: Sampling) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def test_answers_are_passed_on() -> None:
    policy = Gives(((GOOD, GOOD), [GOOD]))
    assert complete(policy, "it", ["a", "b"], [2, 1], Sampling()) == [[GOOD, GOOD], [GOOD]]
    assert answer(policy, "it", ["a", "b"], [2, 1]) == [("x", "x"), ("x",)]
    assert answer(Gives([]), "it", [], []) == []


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([], "expected 1 answers, one per prompt, got 0"),
        ([[GOOD], [GOOD]], "expected 1 answers, one per prompt, got 2"),
        ([[GOOD]], "expected 2 completions for prompt 0, got 1"),
        ([["x", "y"]], r"expected a list of completions for prompt 0, got \['x', 'y'\]"),
        (["xx"], "expected a list of completions for prompt 0, got 'xx'"),
        ([GOOD], "expected a list of completions for prompt 0, got Completion"),
        ([[Completion(None), GOOD]], "expected a list of completions"),  # type: ignore[arg-type]
    ],
)
def test_other_answers_are_refused(given: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^policy 'it': {complaint}"):
        answer(Gives(given), "it", ["a"], [2])


def test_a_policy_that_raises_is_the_cause() -> None:
    with pytest.raises(PolicyError, match="^policy 'it' failed at 1 prompts: KeyError: 'x'; reset") as failed:
        answer(Gives(KeyError("x")), "it", ["a"], [2])
    assert isinstance(failed.value.__cause__, KeyError)
    with pytest.raises(PolicyError, match="TypeError"):
        answer(get(lambda prompts, samples: [3]), "it", ["a"], [2])


def test_a_policy_says_itself_what_is_wrong() -> None:
    with pytest.raises(PolicyError, match="^policy 'it': the server is gone$"):
        answer(Gives(PolicyError("the server is gone")), "it", ["a"], [2])


def test_the_sampling_arrives() -> None:
    seen = []

    class Listens(Gives):
        def generate(self, prompts: Any, samples: Any, sampling: Sampling) -> Any:
            seen.append(sampling)
            return super().generate(prompts, samples, sampling)

    answer(Listens([[GOOD]]), "it", ["a"], [1])
    answer(Listens([[GOOD]]), "it", ["a"], [1], Sampling(0.5, seed=3))
    assert seen == [Sampling(), Sampling(0.5, seed=3)]
