"""What of a program is called: a function, or a method of an instance made for the call."""

from __future__ import annotations

import pytest

from gasp_env.sandbox import Run, Sandbox, Status

METHOD = """
made = 0
class Solution:
    factor = 10
    def __init__(self):
        global made
        made += 1
        self.seen = []
    def scale(self, x, by=1):
        self.seen.append(x)
        return x * by * self.factor + len(self.seen) - 1
    def count(self):
        return made
    @staticmethod
    def twice(x):
        return 2 * x
    @classmethod
    def name(cls):
        return cls.__name__
    other = 7
class Needy:
    def __init__(self, something):
        pass
    def f(self):
        return 1
class Failing:
    def __init__(self):
        raise ValueError("no instance")
    def f(self):
        return 1
def make():
    return Solution()
"""


def ask(sandbox: Sandbox, entry: str, *inputs: tuple[object, ...]) -> list[object]:
    [result] = sandbox.run_many([Run(METHOD, inputs, entry)])
    assert result.status is Status.OK, result.error
    return [call.value for call in result.calls]


@pytest.mark.docker
def test_a_method_is_called_on_an_instance_of_its_own(sandbox: Sandbox) -> None:
    assert ask(sandbox, "Solution.scale", (1,), (2, 3), (4,)) == [10, 60, 40]
    assert ask(sandbox, "Solution.count", (), (), ()) == [1, 2, 3]
    assert ask(sandbox, "Solution.twice", (4,)) == [8]
    assert ask(sandbox, "Solution.name", ()) == ["Solution"]


@pytest.mark.docker
def test_what_makes_the_instance_need_not_be_a_class(sandbox: Sandbox) -> None:
    assert ask(sandbox, "make.scale", (1,)) == [10]


@pytest.mark.docker
@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("solution.scale", "NameError: the program does not define solution"),
        ("Solution.missing", "AttributeError: 'Solution' object has no attribute 'missing'"),
        ("Solution.scale.real", "AttributeError: 'Solution' object has no attribute 'scale.real'"),
        ("Solution.other", "TypeError: 'int' object is not callable"),
        ("made.bit_length", "TypeError: 'int' object is not callable"),
        (".scale", "NameError: the program does not define "),
        ("Needy.f", "TypeError: Needy.__init__() missing 1 required positional argument: 'something'"),
        ("Failing.f", "ValueError: no instance"),
    ],
)
def test_an_entry_that_is_not_there_is_an_exception(sandbox: Sandbox, entry: str, error: str) -> None:
    [result] = sandbox.run_many([Run(METHOD, ((),), entry)])
    assert (result.status, result.error) == (Status.EXCEPTION, error)
