"""The sandbox has no import circle, and nothing in tiers looks up at the registry of tiers."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import gasp_env.sandbox

FOLDER = Path(gasp_env.sandbox.__file__).parent
PACKAGE = "gasp_env.sandbox"


def _module(file: Path) -> str:
    parts = file.relative_to(FOLDER).with_suffix("").parts
    return ".".join([PACKAGE, *(part for part in parts if part != "__init__")])


MODULES = {_module(file): file for file in FOLDER.rglob("*.py")}


def _imports(file: Path) -> set[str]:
    """The sandbox's modules that a file imports, within functions and for types alone too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            # What is no module of its own is an attribute of the module or package it is imported from.
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found & MODULES.keys()


GRAPH = {module: _imports(file) for module, file in MODULES.items()}


def test_there_is_no_circle() -> None:
    assert len(GRAPH) > 25
    order = list(TopologicalSorter(GRAPH).static_order())  # raises CycleError, which names the circle
    assert order.index(f"{PACKAGE}.tiers.worker") < order.index(f"{PACKAGE}.tiers")


def test_nothing_below_the_registry_of_tiers_imports_it() -> None:
    below = {module for module in MODULES if module.startswith(f"{PACKAGE}.tiers.")}
    assert {module for module in below if f"{PACKAGE}.tiers" in GRAPH[module]} == set()
    above = {f"{PACKAGE}.{name}" for name in ("sandbox", "dedup", "doctor", "__main__")}
    assert {module for module in MODULES if f"{PACKAGE}.tiers" in GRAPH[module]} == above


def test_workers_know_nothing_of_their_scheduling() -> None:
    for module in MODULES:
        if module.startswith(f"{PACKAGE}.tiers"):
            assert not [name for name in GRAPH[module] if name.startswith(f"{PACKAGE}.dispatch")], module
