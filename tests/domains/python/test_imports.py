"""Imports that a proposal forgot."""

from __future__ import annotations

import pytest

from gasp_env.domains.python.imports import with_imports
from gasp_env.domains.python.rules import IMPORTS


@pytest.mark.parametrize(
    ("program", "added"),
    [
        ("def f(x):\n    return math.gcd(x, 2)", "import math\n"),
        ("def f(x: List[int]) -> Optional[int]:\n    return x", "from typing import List, Optional\n"),
        ("def f(x):\n    return re.sub('a', x, Counter(x))", "from collections import Counter\nimport re\n"),
        ("def f(x):\n    return os.getcwd()", ""),
        ("def f(x):\n    return count(x)", ""),
        ("import math\ndef f(x):\n    return math.gcd(x, 2)", ""),
        ("import math as m\ndef f(math):\n    return math.gcd(2)", ""),
        ("def f(x):\n    Counter = {}\n    return Counter", ""),
        ("def f(string):\n    return string.upper()", ""),
        ("def f(x):\n    try:\n        return 1\n    except ValueError as re:\n        return re.args", ""),
        ("from typing import *\ndef f(x: List):\n    return x", ""),
        ("from __future__ import annotations\ndef f(x):\n    return math.pi", ""),
        ("def f(x:\n    return math.pi", ""),
        ("def f(x):\n    return string", ""),
    ],
)
def test_what_is_added(program: str, added: str) -> None:
    found = with_imports(program, IMPORTS)
    assert found == (f"{added}\n{program}" if added else program)


def test_only_what_may_be_imported() -> None:
    program = "def f(x):\n    return math.gcd(x, len(Counter(x)))"
    assert with_imports(program, frozenset({"math"})) == f"import math\n\n{program}"
    assert with_imports(program, frozenset()) == program
