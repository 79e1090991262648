"""A server of OpenAI's chat completions: one call, in the fields that the server knows, and its errors in words."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import openai

from gasp_env.policies import chat
from gasp_env.policies.base import Completion, Lost, PolicyError, Sampling
from gasp_env.records import shorten

#: Fields of a request that a server may refuse, by what its refusal names; the first that fits is left out.
REFUSALS = {
    "max_tokens": re.compile("max_completion_tokens"),
    "n": re.compile(r"\bn\b|choices|n_cmpl"),
    "seed": re.compile(r"\bseed\b"),
}


@dataclass(frozen=True)
class Call:
    """A request for some samples of one prompt."""

    prompt: int
    samples: tuple[int, ...]


@dataclass(frozen=True)
class Reply:
    """The outcome of a call: completions of its first samples, or the error."""

    call: Call
    completions: tuple[Completion, ...] = ()
    error: Exception | None = None


class ChatServer:
    """A model at a server. Its methods may be called from several threads.

    Args:
        client: with the server's URL, the key, retries and timeout.
        key: to be kept out of messages; may be empty.
        model: the server's name for it.
        system: a system prompt; empty for none.
        extra: more fields of every request.
        escape: break special tokens in prompts.

    Attributes:
        name: the model and where it is, for messages.
    """

    def __init__(
        self, client: openai.OpenAI, key: str, model: str, system: str, extra: dict[str, Any], escape: bool
    ) -> None:
        self.name = f"model {model!r} at {client.base_url}".rstrip("/")
        self._client, self._key, self._model = client, key, model
        self._before = [{"role": "system", "content": system}] if system else []
        self._extra, self._escape = extra, escape
        self._models: list[str] = []
        self._refused: set[str] = set()

    def greet(self, seconds: float) -> Exception | None:
        """The error if nothing listens, which a call would find out only after its retries."""
        try:
            told: Any = self._client.with_options(max_retries=0, timeout=seconds).get(
                "/models", cast_to=object
            )
            self._models = [str(one["id"]) for one in told["data"]]
        except openai.APITimeoutError:  # it may be busy
            pass
        except openai.APIConnectionError as error:
            return error
        except Exception:  # a server need not list its models, nor let anybody ask
            pass
        return None

    def ask(self, call: Call, prompt: str, sampling: Sampling) -> Reply:
        """Make a call, with its retries; an error is in the reply."""
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
            return Reply(call, error=error)

    def _request(self, call: Call, prompt: str, sampling: Sampling) -> dict[str, Any]:
        """The fields of a request, in the way that the server understands."""
        content = chat.escape(prompt) if self._escape else prompt
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
        for name, named in REFUSALS.items():
            if name in fields and named.search(said):
                self._refused.add(name)
                return True
        return False

    def _read(self, call: Call, fields: dict[str, Any], answer: Any) -> Reply:
        choices = getattr(answer, "choices", None)
        if not isinstance(choices, list):
            return Reply(call, error=PolicyError(f"expected a chat completion, got {shorten(answer)}"))
        # One call in a group may have been unlucky, but a server that knows n does not give some of the choices.
        if choices and len(choices) < fields.get("n", 1):
            self._refused.add("n")
        if not choices and len(call.samples) == 1:
            return Reply(call, error=PolicyError("the server gave no choices"))
        return Reply(call, tuple(_completion(choice) for choice in choices[: len(call.samples)]))

    def said(self, error: Exception) -> str:
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
            text = str(error) if isinstance(error, PolicyError) else f"{type(error).__name__}: {error}"
        return textwrap.shorten(text.replace(self._key, "***") if self._key else text, 300, placeholder="...")

    def complaint(self, error: Exception) -> str:
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
        return f"{self.name}: {self.said(error)}; {remedy}"


def _completion(choice: Any) -> Completion:
    """A choice as a completion: reasoning stripped, and `Lost` where the server says that it stands for nothing."""
    message, reason = choice.message, choice.finish_reason
    if reason in ("content_filter", "error", "abort", "cancelled"):
        return Completion(Lost(f"the server withheld the text ({reason})"), stop="lost")
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    text = message.content if message.content is not None else message.refusal
    stop: Literal["stop", "length"] = "length" if reason in ("length", "max_tokens") else "stop"
    if text is None and not (thought or message.tool_calls or stop == "length"):
        return Completion(Lost(f"the server gave a choice without text ({reason})"), stop="lost")
    return Completion(chat.without_reasoning(text or ""), stop=stop)


def _seed(seed: int, call: Call) -> int:
    """The seed of a call. Some servers read it as a signed 32-bit integer."""
    state = np.random.SeedSequence((seed, call.prompt, call.samples[0])).generate_state(1)
    return int(state[0] >> 1)
