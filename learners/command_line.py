"""The command line of a learner: policies' options as flags, and mistakes that end the program with one line."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
import tyro
from safetensors import SafetensorError

from gasp_env.policies import PolicyError
from gasp_env.policies.command_line import Options, PolicyFlags
from gasp_env.sandbox import SandboxError
from learners.processes import LostProcess, leave

#: Exit status of a program that Ctrl-C ended, as the shell counts it.
INTERRUPTED = 130
#: Errors that a wrong value leads to. Any other error is a defect, and keeps its traceback.
MISTAKES = (ValueError, TypeError, AttributeError, OSError, ImportError, RuntimeError, SafetensorError)

#: The type of a field of options that is no flag: options of policies' factories, by role.
Hidden = tyro.conf.Suppress[Options]


class _Args(Protocol):
    """Options of a command that plays with policies."""

    policy: str
    policy_options: Options


Kind = TypeVar("Kind", bound=_Args)


def parse(
    kind: type[Kind],
    program: str,
    about: str | None,
    roles: Sequence[str] = (),
    recipes: Any = None,
    words: Sequence[str] | None = None,
) -> Kind:
    """The options of a command line; those of policies' factories are in ``policy_options``.

    Args:
        kind: a dataclass of options with defaults.
        program: as it is started, for messages.
        about: its help.
        roles: that have a ``ROLE_policy``.
        recipes: the module `learners.recipes`, for a command whose defaults a recipe may set.
        words: of the command line; by default those of this process.

    Raises:
        SystemExit: with status 2, after one line about the policies or tyro's about the other options.
    """
    words, defaults = list(sys.argv[1:] if words is None else words), kind()
    if recipes is not None and "--recipes" in words:
        print(recipes.describe())
        raise SystemExit(0)
    try:
        recipe = _recipe(words, kind, defaults.policy, recipes) if recipes is not None else None
        defaults = recipe.args if recipe is not None else defaults
        policies = PolicyFlags(roles, defaults.policy, list(vars(defaults)))
        if recipe is not None:
            words = [*_as_words(recipe, words, roles), *words]  # what is given comes last, and wins
        rest, options = policies.separate(words)
        about = f"{about or ''}\n\n{policies.describe(words, options)}"
        args, unknown = tyro.cli(
            kind, args=rest, prog=program, description=about, default=defaults, return_unknown_args=True
        )
        policies.refuse(unknown, words)
    except ValueError as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    args.policy_options = options
    return args


def _recipe(words: Sequence[str], kind: type, policy: str, recipes: Any) -> Any:
    """The recipe that is asked for: of the run to be resumed, by name, or by the policy's; None without any."""
    if resume := _named(words, "resume", ""):
        stored = recipes.stored(Path(_named(words, "runs", "runs")), _named(words, "name", ""), resume, kind)
        if stored is not None:
            return stored
    if name := _named(words, "recipe", ""):
        try:
            return recipes.read(name, kind)
        except ValueError as error:
            raise ValueError(f"--recipe {name}: {error}") from None
    name = _named(words, "policy", policy)
    return recipes.read(name, kind) if name in recipes.names() else None


def _as_words(recipe: Any, words: Sequence[str], roles: Sequence[str]) -> list[str]:
    """A recipe's policies of roles, and its options of policies, as they are typed; not those of policies that the
    command line replaces."""
    found: list[str] = []
    for role in ("", *roles):
        option = f"{role}-policy" if role else "policy"
        chosen = getattr(recipe.args, option.replace("-", "_"))
        if not chosen or _named(words, option, chosen) != chosen:
            continue
        if role:
            found += [f"--{option}", chosen]
        for name, value in recipe.policy_options.get(role, {}).items():
            spelled = flag(f"{role}_{name}" if role else name)
            if isinstance(value, bool):
                found.append(spelled if value else spelled.replace("--", "--no-", 1))
            elif value is not None:
                found.append(f"{spelled}={value}")
    return found


def _named(words: Sequence[str], option: str, default: str) -> str:
    """The value of an option in a command line."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(f"--{option}", f"--{option.replace('-', '_')}", dest="found", default=default)
    try:
        return str(parser.parse_known_args(list(words))[0].found)
    except argparse.ArgumentError:
        return default


@contextmanager
def command() -> Iterator[None]:
    """Wrap a whole program: an end from outside (a signal, Docker going away) is no defect and prints one line."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (SandboxError, PolicyError, LostProcess) as error:
        raise SystemExit(" ".join(str(error).split())) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    leave()


class Interrupted:
    """Context that defers Ctrl-C and SIGTERM: the first is noted, so that work in progress is finished; the second ends
    it.

    Attributes:
        pressed: True after the first one.
    """

    _signals = (signal.SIGINT, signal.SIGTERM)

    pressed = False

    def __enter__(self) -> Interrupted:
        self._handlers = {number: signal.signal(number, self._press) for number in self._signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _press(self, *_: object) -> None:
        self.pressed = True
        print("finishing this update, then saving; once more ends at once", file=sys.stderr, flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def option(name: str, value: object = "", fix: str = "") -> Iterator[None]:
    """Blame an option for errors inside.

    Meant for short stretches that only use that option.

    Args:
        name: of the option, as it is typed.
        value: the value given.
        fix: the remedy, where the error does not name it.

    Raises:
        SystemExit: with one line, even if the error has several.
    """
    try:
        yield
    except MISTAKES as error:
        given = f"{name} {value}".strip()
        said = " ".join(str(error).split()) or type(error).__name__
        raise SystemExit(f"{given}: {said}{'; ' + fix if fix else ''}") from error


def at_least(args: Any, **bounds: float) -> None:
    """Refuse numbers below their bound; None is no number and passes."""
    for name, bound in bounds.items():
        value = getattr(args, name)
        if value is not None and not value >= bound:
            raise SystemExit(f"{flag(name)} {value:g}: expected {bound:g} or more, got {value:g}")
        _not_too_large(name, value)


def positive(args: Any, *names: str) -> None:
    """Refuse numbers that are not above zero; None is no number and passes."""
    for name in names:
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise SystemExit(f"{flag(name)} {value:g}: expected more than 0, got {value:g}")
        _not_too_large(name, value)


def _not_too_large(name: str, value: float | None) -> None:
    power = 53 if name == "tokens" else 32
    if value is not None and not value < 2**power:
        raise SystemExit(f"{flag(name)} {value:g}: expected less than 2**{power}, got {value:g}")


def computes(device: str) -> None:
    """Refuse a device that torch cannot use here."""
    try:
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError, NotImplementedError) as error:
        said = " ".join(str(error).split())
        raise SystemExit(
            f"--device {device}: expected a device torch can use here, got this from it: {said}; "
            "use --device cpu, or install a torch built for the device"
        ) from error


def flag(name: str) -> str:
    """An option as it is typed."""
    return f"--{name.replace('_', '-')}"
