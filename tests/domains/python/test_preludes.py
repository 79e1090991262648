"""Preludes stand before answers, behind their ``from __future__`` imports."""

from __future__ import annotations

import ast

import pytest

from gasp_env.domains.python.preludes import before

PRELUDE = "import math\n\n\ndef half(x):\n    return x / 2"
FUTURE = "from __future__ import annotations"


@pytest.mark.parametrize(
    "answer",
    [
        "def f(x): return x",
        "\ufeffdef f(x): return x",
        '"""Words."""\nx = 1',
        f"{FUTURE}\nx = 1",
        f'"""Words."""\n{FUTURE}\n\n{FUTURE}  # why\nx = 1',
        f"{FUTURE}; x = 1; y = 2",
        f"{FUTURE} ;\\\n  x = 1\ny = 2",
        f"{FUTURE}\\\r\n; x = 1\r\ny = 2",
        f"'é'; {FUTURE}; x = 1",
        FUTURE,
        f"{FUTURE};",
        "x = '__future__'",
        "",
    ],
)
@pytest.mark.parametrize(
    ("prelude", "inline"),
    [(PRELUDE, False), (f"{FUTURE}\n{PRELUDE}", False), ("import math", False), ("import math", True)],
)
def test_an_answer_keeps_its_statements(answer: str, prelude: str, inline: bool) -> None:
    made = before(answer, prelude, inline=inline)
    compile(made, "<program>", "exec", dont_inherit=True)
    statements = [ast.dump(node) for node in ast.parse(made).body]
    for node in ast.parse(prelude).body:
        statements.remove(ast.dump(node))
    expected = [ast.dump(node) for node in ast.parse(answer.removeprefix("\ufeff")).body]
    assert sorted(statements) == sorted(expected)
    assert [one for one in statements if "__future__" not in one] == [
        one for one in expected if "__future__" not in one
    ]


def test_nothing_stands_before_an_answer_without_a_prelude() -> None:
    assert before("\ufeffx = 1", "") == "x = 1"


def test_an_answer_that_cannot_be_parsed_stays_as_it_is() -> None:
    assert before(f"{FUTURE}\nx = (", PRELUDE) == f"{FUTURE}\nx = ("
