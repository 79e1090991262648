"""Things by name: which one a name stands for, when another takes its place, and the messages."""

from __future__ import annotations

import code
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gasp_env.registry import Registry, import_source, load

COLOURS: Registry[Any] = Registry("colour")

MINE = """
from tests.test_registry import COLOURS

@COLOURS.registered("mine")
def made():
    return 1

def plain():
    return 2

number = 3
"""


@pytest.fixture(autouse=True)
def colours() -> Iterator[None]:
    with COLOURS.isolated():
        yield


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "colours_of_test.py"
    path.write_text(MINE)
    return str(path)


def red() -> str:
    return "red"


def shade(rest: str) -> list[str]:
    return [rest]


def _as_function(name: str, found: Any) -> Callable[[], Any]:
    if not callable(found):
        raise ValueError(f"colour {name!r}: expected a function, got {type(found).__name__}")
    return lambda: found()


# Which one a name stands for.


def test_registered_directly_and_by_the_decorator() -> None:
    COLOURS.register("red", red)

    @COLOURS.registered("blue")
    def blue() -> str:
        return "blue"

    assert COLOURS.get("red") is red
    assert COLOURS.get("blue") is blue
    assert COLOURS.names() == ("red", "blue") == tuple(COLOURS)
    assert "red" in COLOURS
    assert "green" not in COLOURS


def test_in_a_source_its_own_registration_counts_first(mine: str) -> None:
    COLOURS.register("plain", red)
    assert COLOURS.get(f"{mine}:mine")() == 1
    assert COLOURS.get("mine") is COLOURS.get(f"{mine}:mine")
    # Not the one that another file registered under that name.
    assert COLOURS.get(f"{mine}:plain")() == 2
    assert COLOURS.get(f"{mine}:number") == 3
    assert COLOURS.get("plain") is red


def test_a_function_registered_under_another_name_is_that_entry(mine: str) -> None:
    entries: Registry[tuple[str, Any]] = Registry("entry")

    def paired() -> None:
        """Found in this module only while the test runs."""

    entries.register("pair", ("said of it", paired), definition=paired)
    globals()["_paired"] = paired
    try:
        assert entries.get("tests.test_registry:_paired") == ("said of it", paired)
        with entries.isolated():
            pass
        assert entries.get("tests.test_registry:_paired") is entries.get("pair")
    finally:
        del globals()["_paired"]


def test_a_package_registers_by_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "palette_of_test"
    package.mkdir()
    (package / "__init__.py").write_text("from palette_of_test import inner\n")
    (package / "inner.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    assert COLOURS.get("palette_of_test:mine")() == 1
    with pytest.raises(ValueError, match="neither registers nor defines 'plain'"):
        COLOURS.get("palette_of_test:plain")


def test_built_in_names_are_imported_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_of_test.py").write_text(
        "def late():\n    return 'late'\n\ndef made(rest):\n    return [rest]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    lazy: Registry[Any] = Registry(
        "colour",
        builtin={"late": "late_of_test:late", "gone": "no_such_module_here:gone"},
        families={"shade:OF": "late_of_test:made"},
    )
    assert lazy.names() == ("late", "gone")
    assert "late_of_test" not in sys.modules
    assert lazy.get("late")() == "late"
    with pytest.raises(ValueError, match="colour 'no_such_module_here:gone': .* cannot be imported"):
        lazy.get("gone")
    assert lazy.get("shade:dark:er") == ["dark:er"]
    assert "shade:dark" not in lazy


@pytest.mark.parametrize("first", ["built in", "replaced"])
def test_a_built_in_name_may_be_registered_by_its_module(
    first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"{first[:5]}_of_test".replace(" ", "_")
    (tmp_path / f"{source}.py").write_text(
        "from tests.test_registry import COLOURS\n\n"
        "def own():\n    return 1\n\n"
        "COLOURS.register('own', lambda: own() + 1, definition=own)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(COLOURS, "_builtin", {"own": f"{source}:own"})
    if first == "built in":
        for _ in range(2):  # the second time it is imported already, and registers nothing
            with COLOURS.isolated():
                assert COLOURS.get("own")() == 2
        importlib.import_module(source)
    with pytest.warns(UserWarning, match="colour 'own' of .* is replaced"):
        COLOURS.registered("own")(red)
    # Imported only now, or again, it does not come back.
    importlib.reload(importlib.import_module(source))
    assert COLOURS.get("own") is red
    assert COLOURS.get(f"{source}:own")() == 2


def test_the_check_makes_each_thing_once() -> None:
    checked: Registry[Callable[[], Any]] = Registry(
        "colour",
        builtin={"red": "tests.test_registry:red"},
        families={"shade:OF": "tests.test_registry:shade"},
        check=lambda name, found: _as_function(name, found if callable(found) else lambda: found),
    )
    for name in ("red", "tests.test_registry:red", "shade:x"):
        assert checked.get(name) is checked.get(name)
    assert checked.get("shade:x")() == ["x"]
    before = checked.get("red")
    checked.register("red", red)
    assert checked.get("red") is before, "the same function once more"
    checked.register("red", lambda: "other")
    assert checked.get("red")() == "other"


# A name that is known.


def test_the_same_file_replaces_in_silence(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = {"__name__": "notebook_of_test", "COLOURS": COLOURS}
    cell = "@COLOURS.registered('cell')\ndef made():\n    return {}\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in (1, 2):  # an edited cell has another file name
            code.InteractiveInterpreter(notebook).runsource(cell.format(number), f"<cell {number}>", "exec")
        assert COLOURS.get("cell")() == 2
        monkeypatch.syspath_prepend(tmp_path)
        module = importlib.import_module("colours_of_test")
        assert COLOURS.get(f"{mine}:mine")() == 1
        Path(mine).write_text(MINE.replace("return 1", "return 10"))
        importlib.reload(module)
    assert COLOURS.get("mine")() == 10 == COLOURS.get("colours_of_test:mine")()
    assert COLOURS.names() == ("cell", "mine")


def test_another_file_replaces_with_a_warning(mine: str) -> None:
    import_source(mine, "test")
    with pytest.warns(
        UserWarning, match="colour 'mine' of .*colours_of_test.py is replaced by .*test_regis"
    ) as seen:
        COLOURS.registered("mine")(red)
    assert seen[0].filename == __file__
    assert COLOURS.get("mine") is red
    builtin: Registry[Any] = Registry("colour", builtin={"late": "no_such_module_here:late"})
    with pytest.warns(UserWarning, match="colour 'late' of no_such_module_here is replaced"):
        builtin.registered("late")(red)
    assert builtin.get("late") is red
    assert builtin.names() == ("late",)


def test_a_file_that_failed_and_was_mended(mine: str) -> None:
    Path(mine).write_text(MINE + "1 / 0\n")
    with pytest.raises(ValueError, match="cannot be imported: ZeroDivisionError"):
        COLOURS.get(f"{mine}:mine")
    Path(mine).write_text("# Mended.\n" + MINE)
    assert COLOURS.get(f"{mine}:mine")() == 1


def test_isolation_forgets_and_restores(mine: str) -> None:
    COLOURS.register("red", red)
    with COLOURS.isolated():
        COLOURS.register("red", lambda: "other")
        assert COLOURS.get(f"{mine}:mine")() == 1
        assert COLOURS.get("red")() == "other"
    assert COLOURS.names() == ("red",)
    assert COLOURS.get("red") is red
    # The module stays imported.
    assert COLOURS.get(f"{mine}:made")() == 1


# Messages.


@pytest.mark.parametrize("name", ["", "a:b", ":", 5])
def test_names_that_cannot_be_registered(name: Any) -> None:
    with pytest.raises(ValueError, match=f"colour: expected a name without a colon, got {name!r}"):
        COLOURS.register(name, red)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "green",
            r"colour: expected one of \['blue', 'red'\], 'shade:OF', 'module:name' or 'file.py:name', got 'gr",
        ),
        ("", "got ''"),
        (None, "expected the name of a colour, got None"),
        (["red"], r"expected the name of a colour, got \['red'\]"),
        ("no_such_module_here:x", "'no_such_module_here' cannot be imported: ModuleNotFoundError"),
        ("no/such/file.py:x", "'no/such/file.py' cannot be imported: FileNotFoundError"),
        (":x", "'' cannot be imported"),
        ("tests.test_registry:x", "'tests.test_registry' neither registers nor defines 'x'"),
        ("tests.test_registry:", "neither registers nor defines ''"),
        ("tests.test_registry:MINE", "colour 'tests.test_registry:MINE': expected a function, got str"),
    ],
)
def test_names_of_nothing(name: Any, message: str) -> None:
    some: Registry[Callable[[], Any]] = Registry(
        "colour", families={"shade:OF": "tests.test_registry:shade"}, check=_as_function
    )
    some.register("red", red)
    some.register("blue", red)
    with pytest.raises(ValueError, match=message):
        some.get(name)


def test_load_is_for_names_of_sources_only(mine: str) -> None:
    assert load(f"{mine}:number", "test") == 3
    assert load("tests.test_registry:red", "test") is red
    for name in ("red", ":red", "tests.test_registry:"):
        with pytest.raises(ValueError, match="test: expected 'module:name' or 'file.py:name'"):
            load(name, "test")
    with pytest.raises(ValueError, match="test: 'tests.test_registry' has no 'nothing'"):
        load("tests.test_registry:nothing", "test")
