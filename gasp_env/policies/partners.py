"""Policies by name, to play the role that is not learned (`gasp_env.envs.single_role`).

A policy answers many prompts at once: ``policy(prompts, samples)`` gives, for every prompt, a tuple of as
many texts as ``samples`` says for it (1 for the teacher). By name:

| name | plays |
|---|---|
| `scripted` | the player of `gasp_env.policies.scripted`, which proposes what it knows at any goalpost |
| `silent` | says that it does not know |
| `module:name`, `file.py:name` | a callable of your own |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from gasp_env import goalposts, registry
from gasp_env.policies.scripted import GOALPOST, ScriptedPlayer

Policy = Callable[[Sequence[str], Sequence[int]], Sequence[Sequence[str]]]

UNKNOWN = "I do not know."


def silent(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Knows nothing: no proposal is valid, no answer right."""
    return [(UNKNOWN,) * count for count in samples]


def scripted(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """`gasp_env.policies.scripted.ScriptedPlayer`, which proposes its own lemma at any goalpost."""
    player = _scripted_player()
    return [player(prompt, count) for prompt, count in zip(prompts, samples, strict=True)]


@cache
def _scripted_player() -> ScriptedPlayer:
    known = next(goalpost for goalpost in goalposts.builtin_goalposts() if goalpost.id == GOALPOST)
    # It takes a prompt for its goalpost's by the signature, and every text has the empty one in it.
    return ScriptedPlayer(replace(known, signature=""))


BUILT_IN: dict[str, Policy] = {"scripted": scripted, "silent": silent}


def get(name: str) -> Policy:
    """The policy of a name.

    Raises:
        ValueError: there is none, or what is found cannot be called.
    """
    if not isinstance(name, str) or (name not in BUILT_IN and ":" not in name):
        raise ValueError(
            f"expected a partner among {', '.join(BUILT_IN)}, module:name, file.py:name, got {name!r}"
        )
    if name in BUILT_IN:
        return BUILT_IN[name]
    found = registry.load(name, "partner")
    if not callable(found) or isinstance(found, type):
        raise ValueError(
            f"partner {name!r}: expected a callable (prompts, samples) -> one tuple of texts a prompt, got {found!r}"
        )
    policy: Policy = found
    return policy


def ask(policy: Policy, name: str, prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """What a policy answers, checked.

    Raises:
        RuntimeError: it raised; what it raised is the cause.
        ValueError: the answers are not one tuple a prompt, each of as many texts as were asked for.
    """
    try:
        given = list(policy(list(prompts), list(samples)))
        # One text is a sequence of texts too, but never what is meant.
        answers = [answer if isinstance(answer, str) else tuple(answer) for answer in given]
    except Exception as error:
        raise RuntimeError(
            f"partner {name!r} failed at {len(prompts)} prompts: {type(error).__name__}: {error}; reset the episodes "
            "that waited for it"
        ) from error
    if len(answers) != len(prompts):
        raise ValueError(
            f"partner {name!r}: expected {len(prompts)} answers, one per prompt, got {len(answers)}"
        )
    for number, (answer, count) in enumerate(zip(answers, samples, strict=True)):
        if not isinstance(answer, tuple) or not all(isinstance(text, str) for text in answer):
            raise ValueError(
                f"partner {name!r}: expected a tuple of texts for prompt {number}, got {given[number]!r:.200}"
            )
        if len(answer) != count:
            raise ValueError(
                f"partner {name!r}: expected {count} texts for prompt {number}, got {len(answer)}"
            )
    return [answer for answer in answers if isinstance(answer, tuple)]
