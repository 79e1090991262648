"""From a name to a policy. The table of names is in `gasp_env.policies`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from gasp_env import registry
from gasp_env.policies.base import Completion, CutOff, Lost, Policy, Sampling
from gasp_env.records import shorten

#: By string, so that a policy's libraries are imported when it is named and not before.
BUILT_IN = {
    "scripted": "gasp_env.policies.scripted:scripted",
    "silent": "gasp_env.policies.scripted:silent",
    "miniature": "learners.miniature:policy",
    "transformers": "learners.policies.transformers:load",
    "vllm": "learners.policies.vllm:load",
    "openai": "gasp_env.policies.openai:load",
}
INSTALL = {
    "miniature": 'pip install "gasp-env[learners]"',
    "transformers": 'pip install "gasp-env[llm]"',
    "vllm": 'pip install "gasp-env[vllm]"',
    "openai": 'pip install "gasp-env[openai]"',
}


class TextPolicy:
    """A callable ``(prompts, samples) -> one tuple of texts a prompt`` as a policy; it tells no token ids."""

    version = 0

    def __init__(self, function: Callable[[Sequence[str], Sequence[int]], Sequence[Sequence[str]]]) -> None:
        self._function = function

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
    ) -> list[list[Completion]]:
        """Call the function. An answer that is no sequence of texts is passed on, for the caller to refuse."""
        return [_completions(texts) for texts in self._function(prompts, samples)]


def get(policy: Any, **options: Any) -> Policy:
    """The policy of a name, or the object itself.

    Args:
        policy: a name; or an object with ``generate``, which is taken as it is; or a callable ``(prompts, samples)``
            that gives one tuple of texts for each prompt.
        options: of the factory that the name stands for.

    Raises:
        ValueError: there is no such policy, it cannot be made, or its factory takes other options.
    """
    found, name = (find(policy), policy) if isinstance(policy, str) else (policy, shorten(policy))
    if not isinstance(policy, str | type) and callable(policy) and not _generates(policy):
        found = TextPolicy(policy)  # with any names of its parameters
    factory_options = parameters(found)
    if factory_options is None:
        if options:
            raise ValueError(f"policy {name!r} takes no options, got {', '.join(options)}")
        return _as_policy(found, name)
    _check(name, factory_options, options)
    try:
        made = found(**options)
    except ModuleNotFoundError as error:
        raise ValueError(_lacks(name, error)) from error
    except Exception as error:
        raise ValueError(f"policy {name!r} cannot be made: {type(error).__name__}: {error}") from error
    return _as_policy(made, name)


def find(name: str) -> Any:
    """The object that a name stands for: a policy, a callable or a factory.

    Raises:
        ValueError: there is none, or a package that it needs is not installed.
    """
    if name not in BUILT_IN:
        if ":" not in name:
            raise ValueError(f"expected a policy among {_NAMES}, got {name!r}")
        return registry.load(name, "policy")
    module, _, attribute = BUILT_IN[name].partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if f"{module}.".startswith(f"{missing}."):
            raise ValueError(f"policy {name!r} is not available in this version of gasp_env") from error
        raise ValueError(_lacks(name, error)) from error


def parameters(found: Any) -> Mapping[str, inspect.Parameter] | None:
    """The options of a factory by name; None for a policy, and for a callable that answers."""
    if not callable(found) or (_generates(found) and not isinstance(found, type)):
        return None
    try:
        # Annotations as values where they can be had. A module may import their names for a type checker only.
        signature = inspect.signature(found, eval_str=True)
    except Exception:
        try:
            signature = inspect.signature(found)
        except (TypeError, ValueError):  # a callable of C that does not tell
            return {}
    if list(signature.parameters)[:2] == ["prompts", "samples"]:
        return None
    return signature.parameters


def by_keyword(options: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """The parameters that can be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in options.items() if parameter.kind in kinds}


def options_of(name: str) -> dict[str, inspect.Parameter]:
    """The options that `get` takes with a name; empty where it stands for a policy rather than a factory.

    Raises:
        ValueError: see `find`.
    """
    return by_keyword(parameters(find(name)) or {})


_NAMES = f"{', '.join(BUILT_IN)}, module:name, file.py:name"


def _check(name: str, parameters: Mapping[str, inspect.Parameter], options: Mapping[str, Any]) -> None:
    known = by_keyword(parameters)
    told = ", ".join(_described(parameter) for parameter in known.values()) or "none"
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    unknown = [] if takes_any else [option for option in options if option not in known]
    if unknown:
        raise ValueError(f"policy {name!r} has no option {', '.join(unknown)}; its options: {told}")
    required = [one for one, parameter in known.items() if parameter.default is inspect.Parameter.empty]
    if missing := [one for one in required if one not in options]:
        answers = len(missing) == len(known) == 2
        hint = "; if it is to answer itself, call its parameters prompts and samples" if answers else ""
        raise ValueError(f"policy {name!r} needs {', '.join(missing)}; its options: {told}{hint}")


def _described(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return f"{parameter.name} (required)"
    return f"{parameter.name}={parameter.default!r}"


def _as_policy(found: Any, name: str) -> Policy:
    if _generates(found) and not isinstance(found, type):
        policy: Policy = found
        return policy
    if callable(found) and parameters(found) is None:
        return TextPolicy(found)
    got = shorten(found)
    raise ValueError(
        "expected a policy to be an object with generate(prompts, samples, sampling), a callable (prompts, samples) -> "
        f"one tuple of texts a prompt, a factory of either, or the name of one ({_NAMES}), got "
        + (got if got == name else f"{got} from {name!r}")
    )


def _generates(found: Any) -> bool:
    return callable(getattr(found, "generate", None))


def _completions(texts: Any) -> Any:
    if isinstance(texts, str):  # a sequence of texts too, but never meant as one
        return texts
    return [Completion(text, stop=_stop(text)) if isinstance(text, str) else text for text in texts]


def _stop(text: str) -> Literal["stop", "length", "lost"]:
    return "length" if isinstance(text, CutOff) else "lost" if isinstance(text, Lost) else "stop"


def _lacks(name: str, error: ModuleNotFoundError) -> str:
    hint = f": {INSTALL[name]}" if name in INSTALL else ""
    return f"policy {name!r} needs the package {error.name!r}, which is not installed{hint}"
