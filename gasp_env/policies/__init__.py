"""Policies, which play the roles, under one protocol (`gasp_env.policies.base`).

`get` finds one by name:

| name | plays |
|---|---|
| `scripted` | from `gasp_env.policies.scripted`: makes the same proposal at any goalpost |
| `silent` | answers that it does not know |
| `miniature` | the tiny model of `learners.miniature` |
| `transformers`, `vllm` | a language model in this process |
| `openai` | a model behind an OpenAI-compatible server |
| `module:name`, `file.py:name` | a policy, a callable ``(prompts, samples) -> texts``, or a factory of your own |

A factory is a function or a class that makes the policy; its parameters are the policy's options, by keyword here and
as flags on a command line (`gasp_env.policies.command_line`).
"""

from __future__ import annotations

from collections.abc import Sequence

from gasp_env.policies.base import Completion, CutOff, Lost, Policy, PolicyError, Sampling
from gasp_env.policies.factories import BUILT_IN, TextPolicy, get, options_of

__all__ = [
    "BUILT_IN",
    "Completion",
    "CutOff",
    "Lost",
    "Policy",
    "PolicyError",
    "Sampling",
    "answer",
    "complete",
    "get",
    "options_of",
]


def answer(
    policy: Policy,
    name: str,
    prompts: Sequence[str],
    samples: Sequence[int],
    sampling: Sampling | None = None,
) -> list[tuple[str, ...]]:
    """The texts that a policy submits, checked: for each prompt a tuple of as many as ``samples`` says.

    A text that was cut off is a `CutOff`, one that could not be generated a `Lost`. ``name`` is for messages. Raises
    as `complete`.
    """
    given = complete(policy, name, prompts, samples, sampling or Sampling())
    return [tuple(completion.submission for completion in completions) for completions in given]


def complete(
    policy: Policy, name: str, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
) -> list[list[Completion]]:
    """The completions that a policy generates, checked.

    Raises:
        PolicyError: it raised.
        ValueError: the answers are not one list a prompt, each of as many completions as were asked for.
    """
    try:
        given = list(policy.generate(list(prompts), list(samples), sampling))
    except PolicyError as error:
        raise PolicyError(f"policy {name!r}: {error}") from error
    except Exception as error:
        raise PolicyError(
            f"policy {name!r} failed at {len(prompts)} prompts: {type(error).__name__}: {error}; reset the episodes "
            "that waited for it"
        ) from error
    if len(given) != len(prompts):
        raise ValueError(
            f"policy {name!r}: expected {len(prompts)} answers, one per prompt, got {len(given)}"
        )
    texts = isinstance(policy, TextPolicy)
    for number, (group, count) in enumerate(zip(given, samples, strict=True)):
        if not isinstance(group, list | tuple) or not all(_is_completion(one) for one in group):
            kind = "tuple of texts" if texts else "list of completions"
            raise ValueError(f"policy {name!r}: expected a {kind} for prompt {number}, got {group!r:.200}")
        if len(group) != count:
            kind = "texts" if texts else "completions"
            raise ValueError(
                f"policy {name!r}: expected {count} {kind} for prompt {number}, got {len(group)}"
            )
    return [list(group) for group in given]


def _is_completion(one: object) -> bool:
    return isinstance(one, Completion) and isinstance(one.text, str)
