"""Things of a user's own, by name: ``module:name``, or ``path/to/file.py:name``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
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
