"""What the source may not contain: on the host, nothing that a model wrote is ever evaluated or unpickled."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST_PACKAGES = ("gasp_env", "learners", "benchmarks")
# Peers that benchmarks run for comparison, as their authors wrote them.
EXEMPT = ROOT / "benchmarks" / "contenders"

EVALUATORS = {"eval", "exec", "compile", "__import__"}
UNPICKLERS = {"pickle", "marshal", "shelve", "_pickle", "dill", "cloudpickle", "joblib"}
# They evaluate for whoever imports them, and `builtins` is where the evaluators can be had under other names.
RUNNERS = {"runpy", "code", "codeop", "builtins"}
MODULES = UNPICKLERS | RUNNERS

TORCH_LOADS = {"torch.load", "torch.serialization.load"}
NUMPY_LOADS = {"numpy.load", "numpy.lib.npyio.load"}
# What may not even be named; the loads above may be called, in the one way that is safe.
NEVER = {"torch.jit.load", "torch.hub.load", "pandas.read_pickle"}


def violations(source: str) -> list[str]:
    """Every forbidden construct in a module, as ``line: what``."""
    tree = ast.parse(source)
    aliases = _aliases(tree)
    return [f"{line}: {what}" for line, what in sorted(set(_found(tree, aliases)))]


def _aliases(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: ``{"np": "numpy", "load": "torch.load"}``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _found(tree: ast.Module, aliases: dict[str, str]) -> Iterator[tuple[int, str]]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    safely_called = {id(call.func) for call in calls if _is_safe(call, aliases)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in MODULES and not _is_only_listed(alias, tree):
                    yield node.lineno, f"imports {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            package = node.module.partition(".")[0]
            if package in MODULES:
                yield node.lineno, f"imports {node.module}"
            if package in ("torch", "numpy", "pandas") and any(alias.name == "*" for alias in node.names):
                yield node.lineno, f"imports everything from {node.module}, what unpickles included"
        elif isinstance(node, ast.Name | ast.Attribute):
            if id(node) not in safely_called:
                yield from _named(node, aliases)
        elif isinstance(node, ast.Call):
            yield from _reached(node, aliases)


def _is_only_listed(alias: ast.alias, tree: ast.Module) -> bool:
    """Whether all that is done with `builtins` is to ask for its names: ``dir(builtins)``, as rules about names do."""
    listed = {
        id(call.args[0])
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "dir"
        and len(call.args) == 1
    }
    name = alias.asname or alias.name
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    return alias.name == "builtins" and all(id(use) in listed for use in uses)


def _named(node: ast.Name | ast.Attribute, aliases: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Naming one is enough (`run = eval`, `map(torch.load, files)`): there is no good reason to."""
    path = _path(node, aliases)
    if (
        isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Load)
        and path in EVALUATORS | {"__builtins__"}
    ):
        yield node.lineno, f"names {path}"
    if path in TORCH_LOADS:
        yield node.lineno, "torch.load that is not called with weights_only=True"
    if path in NUMPY_LOADS:
        yield node.lineno, "numpy.load that may unpickle"
    if path in NEVER:
        yield node.lineno, f"names {path}"


def _is_safe(call: ast.Call, aliases: dict[str, str]) -> bool:
    """Whether this calls one of the loads in a way that cannot unpickle."""
    called = _path(call.func, aliases)
    if called in TORCH_LOADS:
        return _says(call, "weights_only", True)
    if called in NUMPY_LOADS:
        doubtful = any(
            keyword.arg in (None, "allow_pickle") and not _is(keyword.value, False)
            for keyword in call.keywords
        )
        return not doubtful and len(call.args) <= 2
    return False


def _reached(call: ast.Call, aliases: dict[str, str]) -> Iterator[tuple[int, str]]:
    """A module or an attribute asked for by a string."""
    called = _path(call.func, aliases)
    if called in ("importlib.import_module", "getattr", "operator.attrgetter") and call.args:
        name = call.args[:2][-1] if called == "getattr" else call.args[0]
        word = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""
        forbidden = MODULES if called == "importlib.import_module" else UNPICKLERS | EVALUATORS - {"compile"}
        if word.partition(".")[0] in forbidden:
            yield call.lineno, f"reaches {word}"
        path = f"{_path(call.args[0], aliases)}.{word}"
        if called == "getattr" and path in TORCH_LOADS | NUMPY_LOADS | NEVER:
            yield call.lineno, f"reaches {path}"


def _path(node: ast.expr, aliases: dict[str, str]) -> str:
    """The dotted name an expression spells, with import aliases resolved; empty if it is not one."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        start = _path(node.value, aliases)
        return f"{start}.{node.attr}" if start else ""
    return ""


def _says(node: ast.Call, name: str, value: object) -> bool:
    return any(keyword.arg == name and _is(keyword.value, value) for keyword in node.keywords)


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def imported(source: str) -> set[str]:
    """Top-level packages a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def modules(*packages: str) -> list[Path]:
    found = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if EXEMPT not in path.parents]


def test_the_host_evaluates_and_unpickles_nothing() -> None:
    checked = modules(*HOST_PACKAGES)
    assert len(checked) > 20, "the check must see the packages"
    found = {str(path.relative_to(ROOT)): violations(path.read_text("utf-8")) for path in checked}
    assert {name: lines for name, lines in found.items() if lines} == {}


def shared_with_the_container(start: list[Path]) -> set[Path]:
    """Modules of sandbox_image that the host imports: what they do, the host does."""
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                path = ROOT / (name.replace(".", "/") + ".py")
                if name.startswith("sandbox_image.") and path.exists() and path not in found:
                    found.add(path)
                    waiting.append(path)
    return found


def test_what_the_host_shares_with_the_container_evaluates_nothing_either() -> None:
    shared = shared_with_the_container(modules(*HOST_PACKAGES))
    assert ROOT / "sandbox_image" / "worker" / "codec.py" in shared
    assert {
        path.name: violations(path.read_text("utf-8"))
        for path in shared
        if violations(path.read_text("utf-8"))
    } == {}
    worker = modules("sandbox_image")
    assert any(violations(path.read_text("utf-8")) for path in worker), (
        "programs are executed somewhere, after all"
    )


def test_the_environment_never_imports_torch() -> None:
    guilty = [
        str(path) for path in modules("gasp_env") if imported(path.read_text("utf-8")) & {"torch", "learners"}
    ]
    assert guilty == []


def test_nothing_imports_benchmarks() -> None:
    packages = modules("gasp_env", "learners", "sandbox_image")
    assert [str(path) for path in packages if "benchmarks" in imported(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    "planted",
    [
        "eval('1')",
        "exec('x = 1')",
        "compile('1', '', 'eval')",
        "run = eval",
        "list(map(eval, answers))",
        "import builtins\nbuiltins.eval('1')",
        "import builtins\nnames = dir(builtins)\nother = builtins",
        "import builtins as b\nb.exec('1')",
        "__builtins__.eval('1')",
        "from builtins import eval as judge",
        "__import__('pickle')",
        "import importlib\nimportlib.import_module('pickle')",
        "import builtins\ngetattr(builtins, 'eval')('1')",
        "import pickle",
        "import pickle as p",
        "import os, marshal",
        "from pickle import loads",
        "from shelve import open as o",
        "def f():\n    import pickle",
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x', weights_only=False)",
        "import torch\ntorch.load('x', weights_only=flag)",
        "from torch import load\nload('x')",
        "from torch import load as read\nread('x', map_location='cpu')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy\nnumpy.load('x', None, True)",
        "import numpy as np\nnp.load('x', **options)",
        "from numpy import load\nload('x', allow_pickle=flag)",
        "import numpy as np\nf = np.load\nf('x', allow_pickle=True)",
        "from numpy import *",
        "import torch\nf = torch.load\nf('x')",
        "import torch\nlist(map(torch.load, paths))",
        "from functools import partial\nimport torch\npartial(torch.load, weights_only=False)('x')",
        "from torch import load\nf = load\nf('x')",
        "import torch.serialization as s\nf = s.load",
        "from torch import *\nload('x')",
        "import torch\ngetattr(torch, 'load')('x')",
        "import torch\ntorch.jit.load('x')",
        "from torch import jit\nf = jit.load",
        "from torch.jit import load\nload('x')",
        "import runpy\nrunpy.run_path('x')",
        "from runpy import run_module",
        "import importlib\nimportlib.import_module('runpy')",
        "import code\ncode.interact()",
        "import code as c\nc.InteractiveInterpreter().runsource('1')",
        "from code import InteractiveInterpreter",
        "import pandas as pd\npd.read_pickle('x')",
        "from pandas import read_pickle\nread_pickle('x')",
        "__builtins__['eval']('1')",
        "getattr(__builtins__, 'ev' + 'al')('1')",
        "import builtins\nbuiltins.__dict__['eval']('1')",
        "import builtins\nvars(builtins)['eval']('1')",
        "import builtins as b\ngetattr(b, 'eval')('1')",
    ],
)
def test_a_planted_violation_is_found(planted: str) -> None:
    assert violations(planted)


@pytest.mark.parametrize(
    "innocent",
    [
        "import re\nre.compile('a')",
        "import torch\ntorch.compile(model)",
        "model.eval()",
        "import torch\ntorch.load('x', weights_only=True)",
        "import numpy as np\nnp.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import ast\nast.literal_eval('1')",
        "import torch\nstate = torch.load('x', map_location='cpu', weights_only=True)",
        "metrics['eval']",
        "code = 1\ncode.bit_length()",
        "def load(path): ...\nload('x')",
        "from json import load\nload(file)",
        "from safetensors.torch import load\nload(data)",
        "'eval(x)'",
        "def evaluate(): ...",
        "from .pickle import jar",
    ],
)
def test_what_only_looks_alike_is_let_be(innocent: str) -> None:
    assert violations(innocent) == []


def test_exempt_is_benchmarks_contenders_alone() -> None:
    assert EXEMPT.relative_to(ROOT).parts == ("benchmarks", "contenders")
