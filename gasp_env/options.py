"""Options: strict, with type, bounds and meaning in one place, and a one-line message for a wrong value.

`Options` holds the options of every env. A curriculum adds its own (`gasp_env.curricula`); an env is given both
by keyword. All are plain values, so that a registered env's spec goes through JSON. Each claim of GASP is one switch
away from its ablation:

| claim | without it |
|---|---|
| goalposts guide the teacher | id `AZR-Code-v0` |
| invented tasks do more than real ones | id `RLVR-Code-v0`; both: `goalpost_rate=0.5` |
| two steps are better than one | `lifts=0`; for a hard one, `admit={"lemma": (1, 5)}`, `teacher_reward="gasp_lift"` |
| the lift should not see the goalpost | `lift_sees_goalpost=True` |
| a proposal is one text | `two_steps=True`: its program first |
| variants along two axes | `axis="f"`, `axis="io"`, or no axis named: `axis="none"` |
| near-copies are kept out | `novelty="exact"`, or nothing is: `novelty="off"` |
| tasks are asked as three kinds | `convert=False` |
| only tasks in the band are trained on | `solver_data="all"`, or `"non_extremes"` |
| the rewards' shapes | `teacher_reward=...` (the bands stay) |
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from gasp_env.records import shorten
from gasp_env.tasks import Goalpost

Class = TypeVar("Class", bound=type)

_CONFIG = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def options(cls: Class) -> Class:
    """Decorate a class: make it a frozen dataclass of options that reports an invalid value in one line.

    A field is annotated with its type, its bounds and its meaning:
    ``Annotated[int, Field(ge=0, description="...")]``. ``title`` describes the allowed values, where the type
    alone does not.
    """
    made: Any = pydantic_dataclass(frozen=True, kw_only=True, config=_CONFIG)(cls)
    checked = made.__init__

    @functools.wraps(checked)
    def init(self: Any, *arguments: Any, **chosen: Any) -> None:
        try:
            checked(self, *arguments, **chosen)
        except ValidationError as error:
            raise ValueError(one_line(made, error)) from None
        except OverflowError:  # an integer beyond the range of a float
            raise ValueError(_too_large(made, chosen)) from None

    made.__init__ = init
    return made


def one_line(cls: Any, error: ValidationError) -> str:
    """Format the first validation error in one line: the option, the values it takes, and the given value."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "value_error":
        said = str(first["ctx"]["error"])
        return said if not name or name.rpartition("_")[2] in said else f"{name}: {said}"
    if name not in names(cls):
        return f"there is no option {name if name.isidentifier() else shorten(name)}; there are {', '.join(names(cls))}"
    value = first["input"] if len(first["loc"]) == 1 else None
    came = shorten(value) if value is not None or len(first["loc"]) == 1 else shorten(first["input"])
    return f"expected {name} to be {words(cls, name)}, got {came}"


def words(cls: Any, name: str) -> str:
    """The values that an option takes, in words."""
    schema = next(field for field in dataclasses.fields(cls) if field.name == name)
    info = cls.__pydantic_fields__[name]
    if info.title:
        return str(info.title)
    bounds = {key: getattr(one, key) for one in info.metadata for key in ("ge", "le") if hasattr(one, key)}
    return _words(info.annotation, bounds, optional=schema.default is None)


def names(cls: Any) -> list[str]:
    """Names of the options of a class."""
    return [field.name for field in dataclasses.fields(cls)]


def describe(cls: Any) -> list[dict[str, Any]]:
    """Name, values in words, default and meaning of every option of a class, as JSON-able values."""
    found = []
    for field in dataclasses.fields(cls):
        info = cls.__pydantic_fields__[field.name]
        default = info.get_default(call_default_factory=True)
        found.append(
            {
                "name": field.name,
                "takes": words(cls, field.name),
                "default": dict(default) if isinstance(default, Mapping) else default,
                "meaning": info.description or "",
            }
        )
    return found


def _words(kind: Any, bounds: Mapping[str, Any], *, optional: bool) -> str:
    literals = [value for one in _parts(kind) for value in getattr(one, "__args__", ()) if _is_literal(one)]
    plain = {int: "an integer", float: "a finite number", str: "a text", bool: "True or False"}
    said = [plain[one] for one in _parts(kind) if one in plain]
    if literals:
        said = ["one of " + ", ".join(repr(value) for value in literals)]
    text = " or ".join(said) or str(kind)
    if bounds:
        text += f" of at least {bounds['ge']}" if "ge" in bounds else ""
        text += f"{' and' if 'ge' in bounds else ' of'} at most {bounds['le']}" if "le" in bounds else ""
    return f"{text}, or None" if optional else text


def _parts(kind: Any) -> tuple[Any, ...]:
    parts = getattr(kind, "__args__", ()) if not _is_literal(kind) else ()
    return tuple(parts) or (kind,)


def _is_literal(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is Literal


def _too_large(cls: Any, chosen: Mapping[str, Any]) -> str:
    name = next(
        name
        for name, value in chosen.items()
        if isinstance(value, int) and abs(value) > sys.float_info.max and name in names(cls)
    )
    return f"expected {name} to be {words(cls, name)}, got {shorten(chosen[name])}"


def _checked(fits: Callable[[Any], bool], title: str, description: str) -> Any:
    """A field whose values are checked by a test; ``title`` describes them."""

    def check(value: Any) -> Any:
        if not fits(value):
            raise _Unfit
        return value

    return (AfterValidator(check), Field(title=title, description=description))


class _Unfit(AssertionError):
    """A value that does not pass its field's test."""


def _is_goalposts(value: Any) -> bool:
    if value is None or isinstance(value, str | Path):
        return True
    return isinstance(value, Sequence) and all(isinstance(goalpost, Goalpost) for goalpost in value)


def _is_reward(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return True
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(name, str) for key, name in value.items()
    )


def _is_sandbox(value: Any) -> bool:
    return isinstance(value, str) or (
        not isinstance(value, type) and all(hasattr(value, name) for name in ("tier", "open", "run_many"))
    )


def _is_agents(value: Any) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and all(
            # The upper bound keeps a typing error from taking all memory.
            isinstance(role, str) and type(count) is int and 1 <= count <= 10_000
            for role, count in value.items()
        )
    )


@options
class Options:
    """Options of every env. None leaves the choice to the curriculum or the domain."""

    curriculum: Annotated[
        Any,
        *_checked(
            lambda value: isinstance(value, str | type) or dataclasses.is_dataclass(value),
            "the name of a curriculum",
            "The game: gasp, azr or rlvr (a registered id sets it), or one of your own as module:name or file.py:name.",
        ),
    ] = "gasp"
    domain: Annotated[
        Any,
        *_checked(
            lambda value: isinstance(value, str) or hasattr(value, "read_proposal"),
            "the name of a domain, or a Domain",
            "What the game is played with: python, or one of your own as module:name or file.py:name.",
        ),
    ] = "python"
    style: Annotated[
        str | None,
        Field(description="Prompt style: exercises, base, or module:name; None for the domain's."),
    ] = None
    goalposts: Annotated[
        Any,
        *_checked(
            _is_goalposts,
            "the path of a goalpost file, or a list of Goalpost, or None",
            "Real problems: path of a file (gasp_env.goalposts), or goalposts; None for the domain's own.",
        ),
    ] = None
    novelty: Annotated[
        str | None,
        Field(
            min_length=1,
            title="'off', 'exact' or the name of an embedder, or None",
            description="Check that a proposal is new: off, exact, or an embedder, which includes exact.",
        ),
    ] = None
    batch_duplicates: Annotated[
        bool,
        Field(
            description="Refuse copies within a step: of equal proposals that one step of a vector env settles, clones "
            "included, the later ones in env order are duplicates. Off, each env plays as it would alone; without "
            "effect under novelty 'off'."
        ),
    ] = False
    teacher_reward: Annotated[
        Any,
        *_checked(
            _is_reward,
            "a str, or a dict from stages to str, or None",
            "Reward of proposals: a name, module:name, file.py:name, or one for each stage.",
        ),
    ] = None
    solver_reward: Annotated[str, Field(description="Reward of answers, named likewise.")] = "azr"
    relevance: Annotated[
        str | None,
        Field(description="Measure of how much a variant shares with its goalpost; None asks for none."),
    ] = None
    relevance_mode: Annotated[
        Literal["gate", "scale", "score"], Field(description="Use of the relevance: see RelevanceRule.")
    ] = "gate"
    relevance_threshold: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="Least relevance that passes the gate. 0.3 suits operations, 0.7 similarity.",
        ),
    ] = 0.3
    relevance_weight: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="Weight of the relevance in mode score.")
    ] = 0.5
    library: Annotated[
        str | Path | None,
        Field(title="a path, or None", description="Stored library to begin with; None for an empty one."),
    ] = None
    library_capacity: Annotated[
        int | None,
        Field(ge=1, description="Most entries the library may hold; None for any number."),
    ] = None
    library_eviction: Annotated[
        str, Field(description="Policy that chooses the entries a full library gives up.")
    ] = "oldest"
    agents: Annotated[
        Any,
        *_checked(
            _is_agents,
            'a dict from roles to numbers of agents from 1 to 10000, as {"teacher": 3}, or None',
            "Agents of a population, by role; a role not named has one. Who sits is drawn per episode.",
        ),
    ] = None
    matchmaker: Annotated[
        str, Field(description="Seats agents in roles: uniform, or one of your own as module:name.")
    ] = "uniform"
    sandbox: Annotated[
        Any,
        *_checked(
            _is_sandbox,
            "the name of a tier, or a Sandbox",
            "Isolation tier: auto, docker, bwrap or landlock; or a Sandbox of your own, or its class as module:name.",
        ),
    ] = "auto"
    workers: Annotated[
        int | None,
        Field(
            ge=1,
            le=1024,
            description="Programs executed at once, each in a worker of its own; None for one per processor that this "
            "process may use, at most 16. Not beside a Sandbox of your own.",
        ),
    ] = None
    on_infra_error: Annotated[
        Literal["truncate", "continue", "raise"],
        Field(
            description="After a run that could not be executed or a text that a policy could not give: end the "
            "episode truncated, go on with the turn unscored, or raise."
        ),
    ] = "truncate"
