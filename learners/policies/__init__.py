"""What plays: the interface every learner speaks to (`learners.policies.base`) and how to name one."""

from __future__ import annotations

import importlib
from typing import Any

from learners.policies.base import Completion, Policy, Sampling, Scores, TrainablePolicy

__all__ = ["Completion", "Policy", "Sampling", "Scores", "TrainablePolicy", "load", "resolve"]


def resolve(name: str) -> Any:
    """The object that ``"module:name"`` names.

    Raises:
        ValueError: there is none.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"expected 'module:name', got {name!r}")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{name!r} cannot be loaded: {error}") from error


def load(name: str, device: str = "cpu") -> TrainablePolicy:
    """The policy that the factory ``"module:name"`` makes when called with ``device=``."""
    return resolve(name)(device=device)
