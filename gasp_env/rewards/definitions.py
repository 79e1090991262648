"""What can be told of a function from its definition."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any


def is_again(known: Any, function: Any) -> bool:
    """Whether this is the same definition once more.

    As when a notebook's cell is run again, or a file is imported both by its name and by its path.
    """
    if known is None or function is None:
        return known is function
    same_name = _attribute(known, "__qualname__") == _attribute(function, "__qualname__")
    same_module = _attribute(known, "__module__") == _attribute(function, "__module__")
    return same_name and (same_module or (_file(known) is not None and _file(known) == _file(function)))


def first_line(function: Any) -> str:
    """The first line of its docstring, empty if it has none."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def module_of(function: Any) -> str:
    """Name of the module it is from, empty if it does not say."""
    return str(getattr(function, "__module__", ""))


def _attribute(function: Any, name: str) -> Any:
    return getattr(function, name, id(function))


def _file(function: Any) -> Path | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return None if code is None else Path(code.co_filename).resolve()
