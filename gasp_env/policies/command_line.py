"""Policies on a command line: ``--policy NAME``, and the options of the factory behind the name as flags.

    --policy transformers --model PATH                              one policy for every role
    --policy miniature --teacher-policy openai --teacher-model M    another one for the teacher

A factory's flags are its parameters, with the types of their annotations or defaults. A command's own option wins over
a factory's of the same name.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from gasp_env.policies.factories import options_of

#: Options given to factories, by role; the empty role is that of ``--policy``.
Options = dict[str, dict[str, Any]]


class Parser(argparse.ArgumentParser):
    """Argument parser that reports a mistake in one line, with exit status 2.

    Abbreviations are off: an apparent one may be a factory's flag.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Print the line and exit."""
        self.exit(2, f"{self.prog}: {message}\n")


def parse(
    parser: Parser, words: Sequence[str], roles: Collection[str], default: str
) -> tuple[argparse.Namespace, Options]:
    """Parse a command line that names policies.

    Args:
        parser: of the command's other options; ``--policy``, and ``--ROLE-policy`` for each role, are added to it.
        words: of the command line.
        roles: that may have a policy of their own.
        default: name of the policy where ``--policy`` is not given.

    Raises:
        ValueError: there is no such policy, its factory takes other options, or a flag is unknown.
    """
    parser.add_argument(
        "--policy",
        default=default,
        metavar="NAME",
        help=f"the policy that plays, its options being flags too (default {default}); see gasp_env.policies",
    )
    for role in roles:
        parser.add_argument(
            f"--{role}-policy",
            metavar="NAME",
            help=f"another policy for the {role}; its options are --{role}-...",
        )
    policies = PolicyFlags(roles, default, set(vars(parser.parse_args([]))))
    rest, options = policies.separate(words)
    parser.epilog = policies.describe(words)
    found, unknown = parser.parse_known_args(rest)
    policies.refuse(unknown, words)
    return found, options


@dataclass(frozen=True)
class PolicyFlags:
    """The flags of policies, for a command line that some other parser reads.

    Attributes:
        roles: that may have a policy of their own.
        default: name of the policy where ``--policy`` is not given.
        own: names of the command's own options, such as ``max_tokens``.
    """

    roles: Collection[str]
    default: str
    own: Collection[str]

    def separate(self, words: Sequence[str]) -> tuple[list[str], Options]:
        """Take the options of factories out of a command line.

        Returns:
            The other words, the names of the policies among them; and the options, by role.

        Raises:
            ValueError: there is no such policy, a required option is missing, or a value has the wrong type.
        """
        asks_for_help = bool({"-h", "--help"} & set(words))
        parser = _Quiet(add_help=False)
        places: dict[str, tuple[str, str]] = {}
        for role, parameter, place in self._parameters(words):
            places[place] = (role, parameter.name)
            required = parameter.default is inspect.Parameter.empty and not asks_for_help
            options: dict[str, Any] = {"dest": place, "default": argparse.SUPPRESS, "required": required}
            kind, choices = _type(parameter)
            spellings = dict.fromkeys((_flag(place), f"--{place}"))
            if kind is bool:
                parser.add_argument(*spellings, action=argparse.BooleanOptionalAction, **options)
            else:
                parser.add_argument(*spellings, type=kind, choices=choices, **options)
        try:
            found, rest = parser.parse_known_args(list(words))
        except ValueError as error:
            raise ValueError(f"{error}; {self.describe(words)}") from None
        taken: Options = {}
        for place, value in vars(found).items():
            role, name = places[place]
            taken.setdefault(role, {})[name] = value
        return rest, taken

    def describe(self, words: Sequence[str], given: Options | None = None) -> str:
        """The policies that a command line names, and their options, in a line for a person.

        Args:
            words: of the command line.
            given: options that were given, which are shown instead of defaults.
        """
        names = self._names(words)
        taken: dict[str, list[str]] = {role: [] for role in names}
        for role, parameter, place in self._parameters(words):
            needed = parameter.default is inspect.Parameter.empty
            value = (given or {}).get(role, {}).get(parameter.name, parameter.default)
            shown = "" if value in (None, inspect.Parameter.empty) else f" {value}"
            taken[role].append(_flag(place) if needed else f"[{_flag(place)}{shown}]")
        return "; ".join(
            f"policy {names[role]!r} takes {', '.join(flags) or 'no options'}"
            for role, flags in taken.items()
        )

    def refuse(self, unknown: Sequence[str], words: Sequence[str]) -> None:
        """Refuse the words of a command line that no parser took.

        Raises:
            ValueError: there are any.
        """
        if unknown:
            raise ValueError(
                f"unrecognized: {' '.join(unknown)}; {self.describe(words)}; --help lists the other options"
            )

    def _names(self, words: Sequence[str]) -> dict[str, str]:
        """The policy of each role that has one; the empty role's is for all others."""
        parser = _Quiet(add_help=False)
        parser.add_argument("--policy", dest="", default=self.default)
        for role in self.roles:
            parser.add_argument(f"--{role}-policy", f"--{role}_policy", dest=role)
        found, _ = parser.parse_known_args(list(words))
        return {role: name for role, name in vars(found).items() if name}

    def _parameters(self, words: Sequence[str]) -> list[tuple[str, inspect.Parameter, str]]:
        """Role, parameter and place (its name after the role's) of every option that can be given."""
        found = [
            (role, parameter, f"{role}_{parameter.name}" if role else parameter.name)
            for role, name in self._names(words).items()
            for parameter in options_of(name).values()
        ]
        return [one for one in found if one[2] not in self.own]


class _Quiet(Parser):
    """Parser that raises a mistake instead of printing it."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _flag(place: str) -> str:
    return f"--{place.replace('_', '-')}"


def _type(parameter: inspect.Parameter) -> tuple[Callable[[str], Any], Sequence[Any] | None]:
    """Converter of a flag's text to a value, and the allowed values; None for any."""
    annotation, default = parameter.annotation, parameter.default
    if get_origin(annotation) is Literal:
        return type(get_args(annotation)[0]), get_args(annotation)
    # An annotation that could not be evaluated is its text, such as "str | Path | None".
    words = re.findall(r"\w+", annotation) if isinstance(annotation, str) else ()
    accepted = (annotation, *get_args(annotation))
    for kind in (bool, float, int, Path):
        if kind in accepted or kind.__name__ in words:
            return kind, None
    if annotation is inspect.Parameter.empty and isinstance(default, bool | int | float | Path):
        return type(default), None
    return str, None
