"""Mistakes in options end the program with one line, before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError

from gasp_env.sandbox import SandboxError

#: Exit status of a program that Ctrl-C ended, as the shell counts it.
INTERRUPTED = 130
#: What a wrong value leads to. Anything else is a defect, and keeps its traceback.
MISTAKES = (ValueError, TypeError, AttributeError, OSError, ImportError, RuntimeError, SafetensorError)


#: No option means anything at this size, and infinity least of all.
LARGE = 2**32


@contextmanager
def command() -> Iterator[None]:
    """Around a whole program: what ends it from outside, Ctrl-C or Docker going away, is no defect of it either."""
    try:
        yield
    except SandboxError as error:
        raise SystemExit(" ".join(str(error).split())) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


@contextmanager
def option(name: str, value: object = "", fix: str = "") -> Iterator[None]:
    """Blame an option for what fails inside.

    Meant for short stretches that do nothing but make something of that option.

    Args:
        name: of the option, as it is typed.
        value: what was given.
        fix: what to do, where the error does not say.

    Raises:
        SystemExit: with one line, whatever the number of lines of the error.
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
    if value is not None and not value < LARGE:
        raise SystemExit(f"{flag(name)} {value:g}: expected less than 2**32, got {value:g}")


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
