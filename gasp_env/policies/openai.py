"""A model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, ``transformers serve``, a hosted one.

    python -m gasp_env.play --policy openai --model NAME --base-url http://127.0.0.1:8000/v1
    python -m learners.evaluate --policy openai --model NAME --domain python

Chat completions are all that a server needs to know. It is asked for n choices at once; one that refuses ``n``,
``seed`` or ``max_tokens``, or returns fewer choices, is asked in the way that it understands, from then on.

A call that fails although it was retried is `Lost`: unscored, for it says nothing of the model. A server that cannot be
used at all raises: nothing listens, the key or the model is unknown, or many calls in a row have failed. Token ids and
log-probabilities are not known, so such a model cannot be trained.

The key is read from the environment, and kept out of options, messages and the repr of the policy.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import openai

from gasp_env.policies import chat
from gasp_env.policies.base import Completion, Lost, PolicyError, Sampling
from gasp_env.records import shorten

#: Failed calls in a row after which the server counts as gone; at least as many as may be under way.
PATIENCE = 16
#: Seconds that a server may take to say that it is there.
HELLO = 10.0

#: Fields of a request that a server may refuse, by what its refusal names; the first that fits is left out.
_REFUSALS = {
    "max_tokens": re.compile("max_completion_tokens"),
    "n": re.compile(r"\bn\b|choices|n_cmpl"),
    "seed": re.compile(r"\bseed\b"),
}


def load(
    model: str,
    base_url: str = "",
    key_variable: str = "OPENAI_API_KEY",
    concurrency: int = 16,
    retries: int = 5,
    timeout: float = 300.0,
    system: str = "",
    special_tokens: Literal["escape", "refuse", "send"] = "escape",
    extra: str = "",
) -> ServedPolicy:
    """Make the policy; nothing is sent before it is asked.

    Args:
        model: the server's name for it.
        base_url: of the server, up to and with ``/v1``; else that of ``OPENAI_BASE_URL``, else OpenAI's own.
        key_variable: environment variable that holds the key. A server without keys needs none.
        concurrency: most calls under way.
        retries: of a call that failed for a reason that may pass (connection, timeout, 408, 409, 429, 5xx), after half
            a second, one, two and so on up to eight, or after the time that the server asks for.
        timeout: seconds that one try may take.
        system: a system prompt; none is sent if it is empty.
        special_tokens: how a prompt that holds a chat model's special tokens, such as ``<|im_end|>``, is treated:
            broken by an invisible character, not sent (the text is `Lost`), or sent as it is.
        extra: more fields of the request, as a JSON object, such as ``{"top_k": 20}``. Learners store them, as all
            options but the key.

    Raises:
        ValueError: an option is not as expected, or a hosted server's key is missing.
    """
    for name, value, least in (("concurrency", concurrency, 1), ("retries", retries, 0)):
        if value < least:
            raise ValueError(f"expected {name} of at least {least}, got {value}")
    if not timeout > 0:
        raise ValueError(f"expected timeout to be a number of seconds above 0, got {timeout}")
    url = _checked_url(base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1")
    key = os.environ.get(key_variable, "")
    # The value is not repeated: somebody may have given the key itself.
    if not key and (key_variable != "OPENAI_API_KEY" or urlsplit(url).hostname == "api.openai.com"):
        raise ValueError("expected key_variable to name an environment variable that holds the key; set it")
    # A header needs some key, and a server without keys does not look at it.
    client = openai.OpenAI(base_url=url, api_key=key or "none", max_retries=retries, timeout=timeout)
    return ServedPolicy(client, key, model, url, concurrency, system, special_tokens, _fields(extra))


@dataclass(frozen=True)
class _Call:
    """A request for some samples of one prompt."""

    prompt: int
    samples: tuple[int, ...]


@dataclass(frozen=True)
class _Reply:
    """The outcome of a call: completions of its first samples, or the error."""

    call: _Call
    completions: tuple[Completion, ...] = ()
    error: Exception | None = None


class ServedPolicy:
    """A policy that asks a server; `load` makes it."""

    version = 0

    def __init__(
        self,
        client: openai.OpenAI,
        key: str,
        model: str,
        base_url: str,
        concurrency: int,
        system: str,
        special_tokens: str,
        extra: dict[str, Any],
    ) -> None:
        self._client, self._key = client, key
        self._model, self._url = model, base_url
        self._concurrency, self._special = concurrency, special_tokens
        self._before = [{"role": "system", "content": system}] if system else []
        self._extra = extra
        self._models: list[str] = []
        self._refused: set[str] = set()
        self._reached = self._answered = False
        self._failures = 0  # in a row

    def __repr__(self) -> str:
        return f"<model {self._model!r} at {self._url}>"

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
    ) -> list[list[Completion]]:
        """Ask for ``samples[i]`` completions of ``prompts[i]``; those of calls that failed are `Lost`.

        With a seed, every sample has a seed of its own where it is asked for alone, and every prompt where its samples
        are asked for at once; a server that honours it draws the same again.

        Raises:
            PolicyError: the server cannot be used; the message says what to do.
        """
        self._greet()
        found: list[dict[int, Completion]] = [{} for _ in prompts]
        todo: SimpleQueue[_Call | None] = SimpleQueue()
        replies: SimpleQueue[_Reply] = SimpleQueue()
        for index, prompt in enumerate(prompts):
            special = chat.special_tokens(prompt) if self._special == "refuse" else []
            if special:
                lost = Lost(f"the prompt holds {', '.join(special)}, which the server would take for its own")
                found[index] = {sample: Completion(lost, stop="lost") for sample in range(samples[index])}
            elif samples[index]:
                todo.put(_Call(index, tuple(range(samples[index]))))
        missing = sum(samples) - sum(map(len, found))
        over = threading.Event()

        def work() -> None:
            while (call := todo.get()) is not None and not over.is_set():
                replies.put(self._ask(call, prompts[call.prompt], sampling))

        # Daemons, so that a person who ends the program does not wait for the calls under way.
        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self._concurrency, missing))]
        try:
            for thread in threads:
                thread.start()
            while missing:
                reply = replies.get()
                got = dict(zip(reply.call.samples, self._settle(reply), strict=False))
                found[reply.call.prompt] |= got
                missing -= len(got)
                for sample in reply.call.samples[len(got) :]:
                    todo.put(_Call(reply.call.prompt, (sample,)))
        finally:
            over.set()
            for _ in threads:
                todo.put(None)
        return [[one[sample] for sample in sorted(one)] for one in found]

    def _greet(self) -> None:
        """Find out once whether anything listens, rather than through all retries of a call."""
        if self._reached:
            return
        error: openai.APIConnectionError | None = None
        try:
            told: Any = self._client.with_options(max_retries=0, timeout=HELLO).get("/models", cast_to=object)
            self._models = [str(one["id"]) for one in told["data"]]
        except openai.APIConnectionError as failed:
            error = None if isinstance(failed, openai.APITimeoutError) else failed
        except Exception:  # a server need not list its models, nor let anybody ask
            pass
        if error is not None:
            raise PolicyError(self._complaint(error))
        self._reached = True

    def _settle(self, reply: _Reply) -> Sequence[Completion]:
        """The completions of a reply, `Lost` ones after an error. Those that are missing are to be asked for again.

        Raises:
            PolicyError: the server cannot be used.
        """
        error = reply.error
        if error is None:
            self._answered, self._failures = True, 0
            return reply.completions
        self._failures += 1
        unusable = isinstance(error, openai.AuthenticationError | openai.NotFoundError)
        if (unusable and not self._answered) or self._failures >= max(PATIENCE, self._concurrency):
            raise PolicyError(self._complaint(error))
        return [Completion(Lost(self._said(error)), stop="lost")] * len(reply.call.samples)

    def _ask(self, call: _Call, prompt: str, sampling: Sampling) -> _Reply:
        """Make a call; runs in a thread, and never raises."""
        try:
            while True:
                fields = self._request(call, prompt, sampling)
                try:
                    answer = self._client.chat.completions.create(**fields)
                except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                    if not self._learn(fields, str(error.body or error).replace("\\n", " ")):
                        raise
                    continue
                return self._read(call, fields, answer)
        except Exception as error:
            return _Reply(call, error=error)

    def _request(self, call: _Call, prompt: str, sampling: Sampling) -> dict[str, Any]:
        """The fields of a request, in the way that the server understands."""
        content = chat.escape(prompt) if self._special == "escape" else prompt
        fields: dict[str, Any] = {
            "model": self._model,
            "messages": [*self._before, {"role": "user", "content": content}],
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.top_p < 1:
            fields["top_p"] = sampling.top_p
        if sampling.seed is not None:
            fields["seed"] = _seed(sampling.seed, call)
        if len(call.samples) > 1:
            fields["n"] = len(call.samples)
        if "max_tokens" in self._refused:
            fields["max_completion_tokens"] = fields["max_tokens"]
        kept = {name: value for name, value in fields.items() if name not in self._refused}
        return {**kept, "extra_body": self._extra} if self._extra else kept

    def _learn(self, fields: dict[str, Any], said: str) -> bool:
        """Note the field of a request that its refusal names; False if it names none that can be left out."""
        for name, named in _REFUSALS.items():
            if name in fields and named.search(said):
                self._refused.add(name)
                return True
        return False

    def _read(self, call: _Call, fields: dict[str, Any], answer: Any) -> _Reply:
        choices = getattr(answer, "choices", None)
        if not isinstance(choices, list):
            return _Reply(call, error=ValueError(f"expected a chat completion, got {shorten(answer)}"))
        # One call in a group may have been unlucky, but a server that knows n does not give some of the choices.
        if choices and len(choices) < fields.get("n", 1):
            self._refused.add("n")
        if not choices and len(call.samples) == 1:
            return _Reply(call, error=ValueError("the server gave no choices"))
        return _Reply(call, tuple(_completion(choice) for choice in choices[: len(call.samples)]))

    def _said(self, error: Exception) -> str:
        """An error in one line, without the key."""
        if isinstance(error, openai.APIStatusError):
            body: Any = error.body
            told = (body.get("message") or body.get("detail") or body) if isinstance(body, dict) else body
            text = f"the server answered {error.status_code}: {told or error.message}"
        elif isinstance(error, openai.APITimeoutError):
            text = f"the server did not answer within {self._client.timeout} s"
        elif isinstance(error, openai.APIConnectionError):
            text = f"the connection failed: {error.__cause__ or error}"
        else:
            text = f"{type(error).__name__}: {error}"
        return textwrap.shorten(text.replace(self._key, "***") if self._key else text, 300, placeholder="...")

    def _complaint(self, error: Exception) -> str:
        """An error that ends everything, and the remedy."""
        serves = f"; it serves {', '.join(self._models[:5])}" if self._models else ""
        remedy = "look at the server's log"
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            remedy = "set the environment variable that key_variable names to a key that it accepts"
        elif isinstance(error, openai.NotFoundError):
            remedy = f"check model and base_url, which ends in /v1 for most servers{serves}"
        elif isinstance(error, openai.APITimeoutError | openai.RateLimitError):
            remedy = "lower concurrency, or raise timeout or retries"
        elif isinstance(error, openai.APIConnectionError):
            remedy = "start the server, or correct base_url"
        return f"model {self._model!r} at {self._url}: {self._said(error)}; {remedy}"


def _completion(choice: Any) -> Completion:
    """A choice as a completion: reasoning stripped, and `Lost` where the server says that it stands for nothing."""
    message, reason = choice.message, choice.finish_reason
    if reason in ("content_filter", "error"):
        return Completion(Lost(f"the server withheld the text ({reason})"), stop="lost")
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    text = message.content if message.content is not None else message.refusal
    stop: Literal["stop", "length"] = "length" if reason in ("length", "max_tokens") else "stop"
    if text is None and not (thought or message.tool_calls or stop == "length"):
        return Completion(Lost(f"the server gave a choice without text ({reason})"), stop="lost")
    return Completion(chat.without_reasoning(text or ""), stop=stop)


def _seed(seed: int, call: _Call) -> int:
    """The seed of a call. Some servers read it as a signed 32-bit integer."""
    state = np.random.SeedSequence((seed, call.prompt, call.samples[0])).generate_state(1)
    return int(state[0] >> 1)


def _checked_url(url: str) -> str:
    """Refuse a URL that names no server, or holds what must not be stored; it is not repeated, for it may be secret."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("expected base_url such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(
            "expected base_url without user, password and query, for options are stored; put the key into the "
            "environment variable that key_variable names"
        )
    return url


def _fields(extra: str) -> dict[str, Any]:
    try:
        fields = json.loads(extra or "{}")
    except ValueError as error:
        raise ValueError(f"expected extra to be a JSON object ({error}), got {shorten(extra)}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"expected extra to be a JSON object, got {shorten(extra)}")
    return fields
