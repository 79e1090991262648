"""Policies that learners train: the protocol (`learners.policies.base`), and those that ship."""

from __future__ import annotations

from typing import Any, cast

from gasp_env import policies
from gasp_env.policies import Policy
from learners.policies.base import Scores, TrainablePolicy, moved, refresh

__all__ = ["Scores", "TrainablePolicy", "load", "moved", "refresh", "trainable"]

_ASKED = ("module", "generator", "parameters", "fork", "score", "save", "load")


def load(name: str, device: str, threads: int = 0, **options: Any) -> Policy:
    """The policy of a name (`gasp_env.policies.get`); ``device``, and ``threads`` if any, are given to a factory that
    takes them.

    Raises:
        ValueError: see `gasp_env.policies.get`.
    """
    taken = policies.options_of(name)
    if "device" in taken:
        options = {"device": device, **options}
    if threads and "threads" in taken:
        options = {"threads": threads, **options}
    return policies.get(name, **options)


def trainable(policy: Policy) -> TrainablePolicy:
    """The policy, if it can be trained.

    Raises:
        ValueError: it lacks a part of `TrainablePolicy`.
    """
    lacking = [name for name in _ASKED if not hasattr(policy, name)]
    if lacking:
        raise ValueError(
            f"expected a policy that can be trained (learners.policies.TrainablePolicy), got {type(policy).__name__}, "
            f"which lacks {', '.join(lacking)}"
        )
    return cast(TrainablePolicy, policy)
