"""Things of a user's own, by name: ``module:name``, or ``path/to/file.py:name``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any


def import_source(source: str, what: str) -> ModuleType:
    """Import a module by its name, or the file that ``source`` is the path of. Twice gives the same module.

    Args:
        source: ``package.module``, or a path that ends in ``.py``.
        what: for the message: what was to be loaded from there.

    Raises:
        ValueError: it cannot be imported; whatever it raised is said and is the cause.
    """
    try:
        if not source.endswith(".py"):
            return importlib.import_module(source)
        path = Path(source).resolve(strict=True)
        name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            sys.modules[name] = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(sys.modules[name])
            except BaseException:
                del sys.modules[name]
                raise
        return sys.modules[name]
    except Exception as error:
        raise ValueError(f"{what}: {source!r} cannot be imported: {type(error).__name__}: {error}") from error


def load(name: str, what: str) -> Any:
    """The object that ``module:name`` or ``file.py:name`` names.

    Raises:
        ValueError: the name has no colon, the module cannot be imported, or has no such attribute.
    """
    source, colon, attribute = name.rpartition(":")
    if not colon or not source or not attribute:
        raise ValueError(f"{what}: expected 'module:name' or 'file.py:name', got {name!r}")
    module = import_source(source, what)
    if not hasattr(module, attribute):
        raise ValueError(f"{what}: {source!r} has no {attribute!r}")
    return getattr(module, attribute)


def is_again(known: Any, function: Any) -> bool:
    """Whether this is the same definition once more, so that it may take the place of the known one.

    As when a notebook's cell is run again, a module is reloaded, or a file is imported both by its name and by its
    path. Of two definitions in one module or cell the second is another one, whatever it is called; this has to be
    asked while the second is made, as a decorator does.
    """
    if known is function:
        return True
    if known is None or function is None or _beside(known, function):
        return False
    same_name = _attribute(known, "__qualname__") == _attribute(function, "__qualname__")
    same_module = _attribute(known, "__module__") == _attribute(function, "__module__")
    return same_name and (same_module or (_file(known) is not None and _file(known) == _file(function)))


def first_line(function: Any) -> str:
    """The first line of its docstring, empty if it has none."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def module_of(function: Any) -> str:
    """Name of the module it is from, empty if it does not say."""
    return str(getattr(function, "__module__", ""))


def _beside(known: Any, function: Any) -> bool:
    """Whether the code that runs now made both, from two definitions.

    Told by identity: a module or cell that runs again has been compiled or read again, and what its earlier run made
    has other code.
    """
    one, other = _code(known), _code(function)
    if one is None or other is None or one is other:
        return False
    return any(_holds(body, one) and _holds(body, other) for body in _running())


def _running() -> Iterator[CodeType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def _holds(body: CodeType, code: CodeType) -> bool:
    """Whether ``code`` is defined in ``body``, and not in a function or class within."""
    return any(constant is code for constant in body.co_consts)


def _attribute(function: Any, name: str) -> Any:
    return getattr(function, name, id(function))


def _code(function: Any) -> CodeType | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _file(function: Any) -> Path | None:
    code = _code(function)
    return None if code is None else Path(code.co_filename).resolve()
