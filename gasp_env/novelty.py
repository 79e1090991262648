"""When two programs count as the same: exactly, up to how they are written."""

from __future__ import annotations

import ast


def normal_form(tree: ast.Module) -> str:
    """A program up to formatting, comments, docstrings and a consistent renaming of the names it binds.

    Walks without recursion: model text may nest as deep as the parser allows.
    """
    bound: dict[str, str] = {}

    stack: list[object] = [tree]
    order: list[ast.AST] = []
    while stack:
        node = stack.pop()
        if isinstance(node, ast.AST):
            order.append(node)
            stack.extend(value for _, value in reversed(list(ast.iter_fields(node))))
        elif isinstance(node, list):
            stack.extend(reversed(node))
    for node in order:
        name = _bound_name(node)
        if name is not None:
            bound.setdefault(name, f"v{len(bound)}")

    parts: list[str] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.AST):
            if isinstance(node, ast.Load | ast.Store | ast.Del):
                continue
            parts.append(type(node).__name__)
            # Text in a constant and names of attributes are not names the program binds.
            if isinstance(node, ast.Constant):
                parts.append(_atom(node.value))
                continue
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                stack.append(node.value)
                continue
            fields = [
                (name, value) for name, value in ast.iter_fields(node) if name not in ("type_comment", "kind")
            ]
            stack.extend(value for _, value in reversed(fields))
        elif isinstance(node, list):
            # A bare string is a docstring or a comment in disguise.
            kept = [item for item in node if not _is_bare_string(item)]
            parts.append(f"[{len(kept)}")
            stack.extend(reversed(kept))
        elif isinstance(node, str) and node in bound:
            parts.append(bound[node])
        else:
            parts.append(_atom(node))
    return " ".join(parts)


def _bound_name(node: ast.AST) -> str | None:
    """The name a node binds, if it is one whose choice means nothing: all but the entry's."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else None
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name if node.name != "f" else None
    if isinstance(node, ast.ExceptHandler):
        return node.name
    return node.asname if isinstance(node, ast.alias) else None


def _is_bare_string(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _atom(value: object) -> str:
    # hex: decimal text of a long integer is quadratic, and refused beyond 4300 digits.
    return f"int:{value:x}" if isinstance(value, int) and not isinstance(value, bool) else repr(value)
