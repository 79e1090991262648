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
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any, Literal
from urllib.parse import urlsplit

import openai

from gasp_env.policies import chat
from gasp_env.policies.base import Completion, Lost, PolicyError, Sampling
from gasp_env.policies.chat_server import Call, ChatServer, Reply
from gasp_env.records import shorten

#: Failed calls in a row after which the server counts as gone; at least as many as may be under way.
PATIENCE = 16
#: Environment variable that holds the key, unless another one is named.
KEY = "OPENAI_API_KEY"
#: Seconds that a server may take to say that it is there.
HELLO = 10.0


def load(
    model: str,
    base_url: str | None = None,
    key_variable: str = KEY,
    concurrency: int = 16,
    retries: int = 5,
    timeout: float = 300.0,
    system: str | None = None,
    special_tokens: Literal["escape", "refuse", "send"] = "escape",
    extra: str | None = None,
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
        system: a system prompt; by default none is sent.
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
    key = os.environ.get(key_variable, "").strip()
    if not key and (key_variable != KEY or urlsplit(url).hostname == "api.openai.com"):
        # A name that was given is not repeated: somebody may have given the key itself.
        named = KEY if key_variable == KEY else "that key_variable names"
        raise ValueError(
            f"expected the key in the environment variable {named}, which is not set; set it, or give the base_url of "
            "a server that needs none"
        )
    if not all("!" <= character <= "~" for character in key):  # an error about the header would show it
        raise ValueError("expected a key of ASCII characters without spaces in its environment variable")
    # A header needs some key, and a server without keys does not look at it.
    client = openai.OpenAI(base_url=url, api_key=key or "none", max_retries=retries, timeout=timeout)
    server = ChatServer(client, key, model, system or "", _fields(extra), special_tokens == "escape")
    return ServedPolicy(server, concurrency, special_tokens == "refuse")


class ServedPolicy:
    """A policy that asks a server; `load` makes it.

    Args:
        server: answers one call.
        concurrency: most calls under way.
        refuse: do not send prompts that hold special tokens.
    """

    version = 0

    def __init__(self, server: ChatServer, concurrency: int, refuse: bool) -> None:
        self._server, self._concurrency, self._refuse = server, concurrency, refuse
        self._reached = self._answered = False
        self._failures = 0  # in a row

    def __repr__(self) -> str:
        return f"<{self._server.name}>"

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
    ) -> list[list[Completion]]:
        """Ask for ``samples[i]`` completions of ``prompts[i]``; those of calls that failed are `Lost`.

        With a seed, every sample has a seed of its own where it is asked for alone, and every prompt where its samples
        are asked for at once; a server that honours it draws the same again.

        Raises:
            PolicyError: the server cannot be used; the message says what to do.
        """
        if not self._reached and (error := self._server.greet(HELLO)) is not None:
            raise PolicyError(self._server.complaint(error))
        self._reached = True
        found: list[dict[int, Completion]] = [{} for _ in prompts]
        todo: SimpleQueue[Call | None] = SimpleQueue()
        replies: SimpleQueue[Reply] = SimpleQueue()
        for index, prompt in enumerate(prompts):
            special = chat.special_tokens(prompt) if self._refuse else []
            if special:
                lost = Lost(f"the prompt holds {', '.join(special)}, which the server would take for its own")
                found[index] = {sample: Completion(lost, stop="lost") for sample in range(samples[index])}
            elif samples[index]:
                todo.put(Call(index, tuple(range(samples[index]))))
        missing = sum(samples) - sum(map(len, found))
        over = threading.Event()

        def work() -> None:
            while (call := todo.get()) is not None and not over.is_set():
                replies.put(self._server.ask(call, prompts[call.prompt], sampling))

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
                    todo.put(Call(reply.call.prompt, (sample,)))
        finally:
            over.set()
            for _ in threads:
                todo.put(None)
        return [[one[sample] for sample in sorted(one)] for one in found]

    def _settle(self, reply: Reply) -> Sequence[Completion]:
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
            raise PolicyError(self._server.complaint(error))
        return [Completion(Lost(self._server.said(error)), stop="lost")] * len(reply.call.samples)


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


def _fields(extra: str | None) -> dict[str, Any]:
    try:
        fields = json.loads(extra or "{}")
    except ValueError as error:
        raise ValueError(f"expected extra to be a JSON object ({error}), got {shorten(extra)}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"expected extra to be a JSON object, got {shorten(extra)}")
    return fields
