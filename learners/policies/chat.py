"""Between the environment's texts and a language model's tokens: chat template, system prompt, reasoning, end tokens.

Text is text. A template's own tokens are the only special ids that a prompt has: the environment's text is encoded by
a tokenizer that knows no added tokens, so that ``<|im_end|>`` or ``<think>`` in it is a few characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer

#: Stands for the text in a rendered template. Private-use characters: no template has them.
_HERE = "\ue0f1\ue0f2\ue0f3"
_OPEN, _CLOSE = "<think>", "</think>"
#: End tokens of common families, which files do not always name: a model may end a turn or a document.
_ENDS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|end|>",
    "<|eom_id|>",
    "<end_of_turn>",
)


class Chat:
    """Encodes prompts and decodes completions of one model.

    Attributes:
        tokenizer: of the ``transformers`` library.
        ends: ids that end a completion.
        templated: whether there is a chat template; without one, a prompt is its text.

    Raises:
        ValueError: the tokenizer is not of the fast kind, or its template does not take the messages.
    """

    def __init__(
        self,
        tokenizer: Any,
        ends: Iterable[int] = (),
        system: str | None = None,
        thinking: bool | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ValueError(
                f"expected a fast tokenizer (with tokenizer.json), got {type(tokenizer).__name__}, "
                "which cannot be told to read text as text"
            )
        added = {int(id_): token for id_, token in tokenizer.added_tokens_decoder.items()}
        self._added = frozenset(added)
        self._plain = _without_added_tokens(backend)
        markers = {id_ for id_, token in added.items() if str(token) in (_OPEN, _CLOSE)}
        self._silent = frozenset(tokenizer.all_special_ids) | {
            id_ for id_, token in added.items() if token.special
        }
        self._silent -= markers
        named = {id_ for id_, token in added.items() if str(token) in _ENDS}
        eos = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
        self.ends = frozenset((*ends, *eos, *named))
        self.templated = bool(tokenizer.chat_template)
        self._before, self._after, self._opened = self._frame(system, thinking)

    def prompt_ids(self, text: str) -> tuple[int, ...]:
        """Ids that the model is conditioned on: the template's, with the text in the user's place."""
        return (*self._before, *self.text_ids(text), *self._after)

    def text_ids(self, text: str) -> list[int]:
        """Ids of a text, none of which is a special or an added token's."""
        ids = self._encode(text)
        if not self._added.isdisjoint(ids):
            # The vocabulary itself holds an added token, as some do: no piece of its characters is one.
            spelled = {id_: self._spelled(id_) for id_ in self._added.intersection(ids)}
            ids = [piece for id_ in ids for piece in spelled.get(id_, [id_])]
        return ids

    def answer(self, ids: Sequence[int]) -> str:
        """The text to submit: special tokens and reasoning are left out.

        Reasoning that was never closed leaves nothing, for then there is no answer.
        """
        kept = [id_ for id_ in ids if id_ not in self._silent]
        text = self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return without_reasoning(text, self._opened)

    def _spelled(self, added: int) -> list[int]:
        """Ids of an added token's characters, one by one."""
        token = self.tokenizer.decode([added], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return [id_ for character in token for id_ in self._encode(character)]

    def _encode(self, text: str) -> list[int]:
        # A lone surrogate is no character, and the library cannot take it.
        clean = text.encode("utf-8", "replace").decode("utf-8")
        return list(self._plain.encode(clean, add_special_tokens=False).ids)

    def _frame(self, system: str | None, thinking: bool | None) -> tuple[list[int], list[int], bool]:
        """Ids before and after the text, and whether the template opens reasoning."""
        if not self.templated:
            if system is not None:
                raise ValueError(
                    "a system prompt needs a chat template, and this tokenizer has none: it is a base model's"
                )
            bos = self.tokenizer.bos_token_id
            begins = bos is not None and self.tokenizer("a")["input_ids"][:1] == [bos]
            return ([bos] if begins else []), [], False
        messages = [{"role": "user", "content": _HERE}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        options = {} if thinking is None else {"enable_thinking": thinking}
        try:
            rendered = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **options
            )
        except Exception as error:  # templates raise whatever they like
            raise ValueError(f"the chat template does not take {_roles(messages)}: {error}") from error
        before, found, after = rendered.partition(_HERE)
        if not found or _HERE in after:
            raise ValueError("expected the chat template to show the user's message once, unchanged")
        return (
            *(self.tokenizer(part, add_special_tokens=False)["input_ids"] for part in (before, after)),
            after.rstrip().endswith(_OPEN),
        )


def without_reasoning(text: str, opened: bool = False) -> str:
    """A text without its ``<think>...</think>`` parts. One that is not closed takes the rest with it.

    Args:
        text: of a completion.
        opened: whether the prompt ended with ``<think>``.
    """
    if opened and not text.lstrip().startswith(_OPEN):
        text = _OPEN + text
    if _OPEN not in text:
        return text
    return re.sub(f"{_OPEN}.*?({_CLOSE}|\\Z)\\s*", "", text, flags=re.DOTALL)


def _without_added_tokens(backend: Tokenizer) -> Tokenizer:
    described = json.loads(backend.to_str())
    described["added_tokens"] = []
    # What it adds around a text: the template says that.
    described["post_processor"] = described["truncation"] = described["padding"] = None
    return Tokenizer.from_str(json.dumps(described))


def _roles(messages: Sequence[dict[str, str]]) -> str:
    return " and ".join(f"a {message['role']} message" for message in messages)
