"""Recipes: defaults of `learners.reinforcepp`'s options for one kind of run, in TOML.

    about = "what it is for, in a line"
    episodes = 16                 an option of the learner, by its name
    [policy_options]
    lora = 16                     an option of the policy's factory

``--recipe NAME`` takes one that ships in this folder, ``--recipe my.toml`` one of yours; options that are given as well
win. Without ``--recipe`` the one with the name of the policy is taken, where there is one.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from gasp_env.policies import factories
from gasp_env.policies.command_line import Options
from learners.config import Args
from learners.run_dir import directory

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Recipe:
    """Defaults of options.

    Attributes:
        name: as it is asked for.
        about: what it is for.
        args: the learner's options, those that the recipe does not name at their own defaults.
        policy_options: of policies' factories, by role; the empty role's are those of ``--policy``.
    """

    name: str
    about: str
    args: Args
    policy_options: Options


def names() -> list[str]:
    """Recipes that ship."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read(name: str, kind: type[Args] = Args) -> Recipe:
    """The recipe of a name, or in a file; for a learner with options of its own, ``kind``.

    Raises:
        ValueError: there is none, or it names an option that is not there, or a value of the wrong type.
    """
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(f"expected one of {', '.join(names())}, or a .toml file, there is no {name!r}")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: expected a TOML file: {error}") from None
    about, options = found.pop("about", ""), found.pop("policy_options", {})
    if not isinstance(about, str) or not isinstance(options, dict):
        raise ValueError(f"{path}: expected about to be text, and policy_options to be a table")
    kinds = get_type_hints(kind)
    for key in ("policy_options", "recipe", "name", "resume"):  # no defaults of a kind of run
        del kinds[key]
    values = {}
    for key, value in found.items():
        if key not in kinds:
            raise ValueError(f"{path}: expected options of the learner, there is no {key!r}")
        values[key] = _checked(path, key, kinds[key], value)
    args = replace(kind(), **values)
    taken = factories.options_of(args.policy)
    for key, value in options.items():
        if key not in taken:
            raise ValueError(f"{path}: expected options of policy {args.policy!r}, there is no {key!r}")
        if not isinstance(taken[key].annotation, str):
            options[key] = _checked(path, key, taken[key].annotation, value)
    return Recipe(name, about, args, {"": options})


def stored(runs: Path, name: str, resume: str, kind: type[Args] = Args) -> Recipe | None:
    """The options of the run that ``--resume`` means, from its newest manifest; None where there is none.

    Args:
        runs: as the option.
        name: as the option.
        resume: as the option.
        kind: the learner's options.

    Raises:
        ValueError: the manifest cannot be read.
    """
    try:
        run = directory(runs, name, resume)
        # Each continuation has a manifest with its step in its name.
        file = max(run.glob("manifest-*.json"), default=run / "manifest.json")
        found = json.loads(file.read_text(encoding="utf-8"))["args"]
    except OSError:  # that there is no such run, or nothing to go on from, is said later
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--resume {resume}: {error!r}") from None
    options = found.pop("policy_options", {})
    kinds = get_type_hints(kind)
    values = {key: _checked(file, key, kinds[key], value) for key, value in found.items() if key in kinds}
    values |= {"name": name, "resume": "", "runs": runs, "recipe": ""}
    return Recipe(str(file), "", replace(kind(), **values), options)


def _checked(path: Path, key: str, kind: Any, value: Any) -> Any:
    """A value of a recipe, as its option takes it."""
    # TOML has no paths and no tuples; all else has to be of its type, so that 1 is not true.
    strict = not any(word in str(kind) for word in ("Path", "tuple"))
    try:
        return TypeAdapter(kind).validate_python(value, strict=strict)
    except ValidationError as error:
        raise ValueError(f"{path}: {key}: {error.errors()[0]['msg']}, got {value!r}") from None


def describe() -> str:
    """All recipes that ship, a paragraph each."""
    lines = []
    for name in names():
        text = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
        settings = [line for line in text.splitlines() if line and not line.startswith(("about", "#"))]
        lines += [f"{name}: {read(name).about}", *(f"    {line}" for line in settings), ""]
    return "\n".join(lines)
