"""Registries of objects by name: registered, built in, or imported by ``module:name`` or ``file.py:name``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Thing = TypeVar("Thing")


class Registry(Generic[T]):
    """A registry of objects of one kind, by name.

    Args:
        what: noun for the messages, such as ``"teacher reward"``.
        builtin: name to ``"module:name"``. The module is imported at the first lookup, so that a layer can
            name one above it.
        families: ``"HEAD:PLACEHOLDER"`` to the ``"module:name"`` of a function, imported likewise. The
            function is called with the part of a name after ``HEAD:``.
        check: called with the requested name and the object that was found. It returns the T, or raises a
            ValueError that names the object. The result is cached until the name refers to another object.
    """

    def __init__(
        self,
        what: str,
        *,
        builtin: Mapping[str, str] | None = None,
        families: Mapping[str, str] | None = None,
        check: Callable[[str, Any], T] | None = None,
    ) -> None:
        self.what = what
        self.families = tuple(families or ())
        self._makers = {family.partition(":")[0]: maker for family, maker in (families or {}).items()}
        self._builtin = dict(builtin or {})
        self._check = check
        self._entries: dict[str, _Entry] = {}
        #: Every entry that was ever registered, by the id of its definition.
        self._defined: dict[int, _Entry] = {}
        self._checked: dict[str, tuple[Any, T]] = {}

    def register(self, name: str, thing: Any, *, definition: Any = None) -> None:
        """Register an object under a name; it replaces an earlier one.

        An object from the same file replaces silently. One from another file causes a warning, because the
        replacement may be a mistake.

        Args:
            name: a name without a colon.
            thing: the object, see ``check``.
            definition: the function or class from which ``thing`` was made, if ``thing`` has no
                ``__module__``.

        Raises:
            ValueError: the name is empty or has a colon.
        """
        if not isinstance(name, str) or not name or ":" in name:
            raise ValueError(f"{self.what}: expected a name without a colon, got {name!r}")
        entry = _Entry(thing, thing if definition is None else definition)
        self._defined[id(entry.definition)] = entry
        known, home = self._entries.get(name), self._builtin.get(name, "").partition(":")[0]
        if known is not None and entry.module == home and known.module != home:
            return  # the built-in one, imported after it was replaced
        replaced = known.file if known is not None else _file(home) if home else entry.file
        if replaced != entry.file:
            message = f"{self.what} {name!r} of {replaced} is replaced by that of {entry.file}"
            warnings.warn(message, UserWarning, stacklevel=3)
        self._entries[name] = entry

    def registered(self, name: str) -> Callable[[Thing], Thing]:
        """Decorate a function or class: register it under a name."""

        def register(thing: Thing) -> Thing:
            self.register(name, thing)
            return thing

        return register

    def get(self, name: str) -> T:
        """Look up the object with this name.

        For ``"module:name"`` and ``"path/to/file.py:name"`` the source is imported first. An object that the
        source registered under ``name`` takes precedence over its attribute ``name``.

        Args:
            name: registered, built in, of a family, ``"module:name"`` or ``"path/to/file.py:name"``.

        Raises:
            ValueError: there is no such object, its source cannot be imported, or the check refused it.
        """
        if not isinstance(name, str):
            raise ValueError(f"expected the name of a {self.what}, got {name!r}")
        head, colon, rest = name.partition(":")
        if name in self._entries:
            found = self._entries[name].thing
        elif name in self._builtin:
            found = self._found(self._builtin[name])
        elif colon and head in self._makers:
            found = load(self._makers[head], self.what)
        elif colon:
            found = self._found(name)
        else:
            raise ValueError(self._expected(name))
        if name not in self._checked or self._checked[name][0] is not found:
            thing = found(rest) if colon and head in self._makers else found
            self._checked[name] = found, thing if self._check is None else self._check(name, thing)
        return self._checked[name][1]

    def names(self) -> tuple[str, ...]:
        """Built-in names, then registered ones in order of registration."""
        return tuple(dict.fromkeys([*self._builtin, *self._entries]))

    def __contains__(self, name: object) -> bool:
        return name in self._builtin or name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Undo registrations on exit of the context, for tests. Imported modules stay imported."""
        kept = dict(self._entries)
        try:
            yield
        finally:
            self._entries = kept

    def _found(self, name: str) -> Any:
        source, _, plain = name.rpartition(":")
        module = import_source(source, f"{self.what} {name!r}")
        entry = self._entries.get(plain)
        if entry is not None and entry.comes_from(module):
            return entry.thing
        if not hasattr(module, plain):
            raise ValueError(f"{self._expected(name)}: {source!r} neither registers nor defines {plain!r}")
        attribute = getattr(module, plain)
        # An attribute that was registered under another name resolves to that entry, with its metadata.
        return self._defined[id(attribute)].thing if id(attribute) in self._defined else attribute

    def _expected(self, name: str) -> str:
        families = "".join(f"{family!r}, " for family in self.families)
        return (
            f"{self.what}: expected one of {sorted(self.names())}, {families}'module:name' or 'file.py:name', "
            f"got {name!r}"
        )


class _Entry:
    """A registered object, its defining function or class, and the module and file of that."""

    def __init__(self, thing: Any, definition: Any) -> None:
        self.thing = thing
        self.definition = definition  # kept alive too: its id is a key
        self.module = str(getattr(definition, "__module__", ""))
        self.file = _file(self.module)

    def comes_from(self, module: ModuleType) -> bool:
        """True if it was registered by this module, by the same file under another name, or by a
        submodule."""
        return self.file == _file(module.__name__) or self.module.startswith(f"{module.__name__}.")


def _file(module: str) -> str:
    """The file of a module; the module's name if it has no file, as in a notebook."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return str(Path(file).resolve()) if file else module


def import_source(source: str, what: str) -> ModuleType:
    """Import a module by its name or by the path of its file. A second import returns the same module.

    Args:
        source: ``package.module``, or a path that ends in ``.py``.
        what: noun for the message: the object to be loaded from the module.

    Raises:
        ValueError: the import fails; the message quotes the error, which is also the cause.
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
