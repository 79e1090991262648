"""A program, parsed once."""

from __future__ import annotations

import ast
import symtable
from collections import defaultdict
from functools import cached_property
from typing import Any, Self, TypeVar

from gasp_env.domains.python import novelty, syntax

_Node = TypeVar("_Node", bound=ast.AST)


class Program(str):
    """A program's text with its analysis, which is computed on first use and cached.

    It is a `str`, equal to its text, and can be used like one. A proposal carries it from the parser to the
    gate's last check. Only plain text is stored or sent, ``str(program)``: the value language has exact types
    only, and the analysis takes a hundred times the memory of the text.
    """

    def __new__(cls, text: str) -> Self:
        """Return the same object if the text is a `Program` already."""
        return text if type(text) is cls else super().__new__(cls, text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    @property
    def is_parsed(self) -> bool:
        """True if its syntax tree is cached."""
        return "_read" in vars(self)

    @property
    def tree(self) -> ast.Module:
        """Its syntax tree.

        Raises:
            ParseError: see `gasp_env.domains.python.syntax.parse`.
        """
        return self._read[0]

    @property
    def nodes(self) -> list[ast.AST]:
        """The tree's nodes, see `gasp_env.domains.python.syntax.nodes`.

        Raises:
            ParseError: as for `tree`.
        """
        return self._read[1]

    @cached_property
    def kinds(self) -> dict[type[ast.AST], list[ast.AST]]:
        """The nodes grouped by their type.

        Raises:
            ParseError: as for `tree`.
        """
        kinds: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        for node in self.nodes:
            kinds[type(node)].append(node)
        return dict(kinds)

    def every(self, kind: type[_Node]) -> list[_Node]:
        """The nodes of exactly one type.

        Raises:
            ParseError: as for `tree`.
        """
        return self.kinds.get(kind, [])  # type: ignore[return-value]

    @cached_property
    def scopes(self) -> list[symtable.SymbolTable]:
        """The module's scope, then all scopes inside it.

        Raises:
            ParseError: ``unparsable``: it parses, but does not compile (for example, two arguments of one
                name).
        """
        try:
            scopes = [symtable.symtable(str(self), "<program>", "exec")]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise syntax.ParseError("unparsable", f"{type(error).__name__}: {error}") from None
        for scope in scopes:
            scopes += scope.get_children()
        return scopes

    @cached_property
    def form(self) -> bytes:
        """The normal form that exact novelty compares, see `gasp_env.domains.python.novelty`.

        Raises:
            ParseError: as for `tree`.
        """
        return novelty.normal_form(self.nodes).encode()

    @cached_property
    def _read(self) -> tuple[ast.Module, list[ast.AST]]:
        return syntax.parse(str(self))
