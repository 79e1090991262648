"""Policies by name and as objects: what is taken, what is refused and how that is said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gasp_env import policies
from gasp_env.policies import Completion, CutOff, Lost, Sampling, answer, factories, get, options_of

HERE = str(Path(__file__).resolve())


class Echo:
    """Says the prompt, and what it was made with."""

    def __init__(self, model: str, *, loud: bool = False) -> None:
        if model == "broken":
            raise OSError("no such weights")
        self.version = 3
        self._words = (model.upper() if loud else model, "")

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
    ) -> list[list[Completion]]:
        return [
            [Completion(f"{self._words[0]} {prompt}")] * count
            for prompt, count in zip(prompts, samples, strict=True)
        ]


ECHO = Echo("object")
NUMBER = 3


def load(model: str, loud: bool = False) -> Echo:
    return Echo(model, loud=loud)


def anything(**options: str) -> Echo:
    return Echo(" ".join(f"{name}={value}" for name, value in options.items()))


def texts_of(prefix: str = "texts"):
    def texts(prompts, samples):
        return [(prefix,) * count for count in samples]

    return texts


def texts(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    return [(f"said {prompt}",) * count for prompt, count in zip(prompts, samples, strict=True)]


def unnamed(questions: Sequence[str], counts: Sequence[int]) -> list[tuple[str, ...]]:
    return texts(questions, counts)


def nothing() -> int:
    return 5


def needs_a_package() -> Echo:
    import a_package_that_is_nowhere  # type: ignore[import-not-found]

    return a_package_that_is_nowhere


def one(policy: object, **options: object) -> str:
    """The first text of an answer to the prompt ``p``."""
    return answer(get(policy, **options), "it", ["p"], [1])[0][0]


@pytest.mark.parametrize("name", [f"{HERE}:load", f"{HERE}:Echo", "tests.policies.test_factories:load"])
def test_a_factory_takes_options(name: str) -> None:
    assert one(name, model="m") == "m p"
    assert one(name, model="m", loud=True) == "M p"
    assert list(options_of(name)) == ["model", "loud"]


def test_what_a_name_may_stand_for() -> None:
    assert one(f"{HERE}:ECHO") == "object p"
    assert one(f"{HERE}:texts") == "said p"
    assert one(f"{HERE}:texts_of") == "texts"
    assert one(f"{HERE}:texts_of", prefix="x") == "x"
    assert one(f"{HERE}:anything", a="1", b="2") == "a=1 b=2 p"
    assert one("silent") == "I do not know."


def test_an_object_is_taken_as_it_is() -> None:
    assert get(ECHO) is ECHO
    assert one(texts) == one(unnamed) == one(lambda p, s: [("said p",)]) == "said p"
    assert one(Echo, model="m") == "m p"


def test_a_callable_may_say_that_a_text_was_cut_off_or_lost() -> None:
    policy = get(lambda prompts, samples: [(CutOff("x"), "y", Lost("gone"))])
    stops = [completion.stop for completion in policy.generate(["p"], [3], Sampling())[0]]
    assert stops == ["length", "stop", "lost"]
    cut, whole, lost = answer(policy, "it", ["p"], [3])[0]
    assert (type(cut), type(whole), type(lost), lost.reason) == (CutOff, str, Lost, "gone")


@pytest.mark.parametrize(
    ("policy", "options", "complaint"),
    [
        ("gpt", {}, r"^expected a policy among scripted, silent, .*module:name, file.py:name, got 'gpt'$"),
        (["x"], {}, r"^expected a policy to be an object with generate.* got \['x'\]$"),
        (None, {}, "got None$"),
        (3, {}, "got 3$"),
        (f"{HERE}:NUMBER", {}, "expected a policy .* a callable .* got 3 from '.*:NUMBER'$"),
        (f"{HERE}:nothing", {}, "expected a policy .* got 5 from '.*:nothing'$"),
        ("os:path", {}, "expected a policy .* from 'os:path'$"),
        ("builtins:dict", {}, "expected a policy .* got {} from 'builtins:dict'$"),
        ("nowhere:policy", {}, "^policy: 'nowhere' cannot be imported"),
        (f"{HERE}:absent", {}, "has no 'absent'$"),
        (f"{HERE}:load", {}, r"load' needs model; its options: model \(required\), loud=False$"),
        (f"{HERE}:load", {"modle": "m"}, r"load' has no option modle; its options: model \(required\), loud"),
        (f"{HERE}:load", {"model": "broken"}, "load' cannot be made: OSError: no such weights$"),
        (f"{HERE}:unnamed", {}, "needs questions, counts; .* call its parameters prompts and samples$"),
        (f"{HERE}:texts", {"model": "m"}, "texts' takes no options, got model$"),
        ("silent", {"model": "m"}, "^policy 'silent' takes no options, got model$"),
        (
            f"{HERE}:needs_a_package",
            {},
            "needs the package 'a_package_that_is_nowhere', which is not installed$",
        ),
    ],
)
def test_what_is_refused(policy: object, options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        get(policy, **options)
    assert "\n" not in str(refused.value)


def test_a_built_in_policy_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(factories.BUILT_IN, "vllm", "learners.policies.not_written_yet:load")
    with pytest.raises(ValueError, match=r"^policy 'vllm' is not available in this version of gasp_env$"):
        get("vllm", model="m")
    monkeypatch.setitem(factories.BUILT_IN, "vllm", f"{__name__}:load")
    monkeypatch.delitem(sys.modules, __name__)
    monkeypatch.setitem(sys.modules, "pytest", None)  # what this module imports is not installed
    with pytest.raises(ValueError, match="needs the package 'pytest'.*: pip install \"gasp-env.vllm.\""):
        get("vllm", model="m")


def test_built_in_policies_that_need_nothing_answer_as_many_as_are_asked_for() -> None:
    prompts, samples = ["who are you?", "```python\ndef f(x):\n    return x\n```"], [1, 3]
    for name in ("scripted", "silent"):
        given = policies.answer(policies.get(name), name, prompts, samples)
        assert [len(group) for group in given] == samples


def test_the_table_of_names_is_complete() -> None:
    assert [name for name in policies.BUILT_IN if f"`{name}`" not in (policies.__doc__ or "")] == []
    assert set(factories.INSTALL) == set(policies.BUILT_IN) - {"scripted", "silent"}
