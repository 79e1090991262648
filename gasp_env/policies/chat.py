"""Text that goes to a chat model and comes from one: special tokens in prompts, reasoning in answers."""

from __future__ import annotations

import re

#: Stands after the first character of what would be a special token. It is not visible, and models drop it when they
#: copy a text, so a program or a value that holds such a form stays what it is.
BREAK = "\N{ZERO WIDTH SPACE}"

_TAGS = (
    "s|bos|eos|pad|unk|mask|sop|eop|endoftext|begin_of_text|end_of_text|think|tool_call|tool_response|tools|SYS|"
    r"start_of_turn|end_of_turn|start_of_image|end_of_image|image_soft_token|fim_\w+|file_sep|repo_name|filename|"
    r"PRE|SUF|MID|EOT|EOD|CLS|SEP|PAD|UNK|MASK|[A-Z]+_TOKEN|unused_?\d+|extra_id_\d+|reserved_\d+|SPECIAL_\d+"
)
_BRACKETS = (
    "INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID|MODEL_SETTINGS|THINK|"
    r"IMG|IMG_BREAK|IMG_END|AUDIO|BEGIN_AUDIO|PREFIX|MIDDLE|SUFFIX|BOS|EOS|PAD|UNK|CLS|SEP|MASK|gMASK|sMASK|control_\d+"
)
#: Forms of the special tokens of published chat models; a match is the first character of one.
_SPECIAL = re.compile(
    r"<(?=\|[^<>|\s]{1,64}\|>)"  # <|im_end|> and most others
    r"|<(?=｜[^<>｜\s]{1,64}｜>)"  # those of DeepSeek
    rf"|<(?=/?(?:{_TAGS})>)"
    rf"|\[(?=/?(?:{_BRACKETS})\])"
)


def special_tokens(text: str) -> list[str]:
    """Everything in a text that some published chat model reads as a special token, each form once, in order."""
    found = (text[match.start() :] for match in _SPECIAL.finditer(text))
    return list(dict.fromkeys(rest[: re.search(r"[>\]]", rest).end()] for rest in found))  # type: ignore[union-attr]


def escape(text: str) -> str:
    """The same text without special tokens: `BREAK` stands after the first character of each.

    A server applies its template to the content of a message and reads the result with all special tokens, so a text
    that holds ``<|im_end|>`` would end its own message. A template has no quotes for them.
    """
    return _SPECIAL.sub(lambda match: match[0] + BREAK, text)


def without_reasoning(text: str) -> str:
    """The answer in a model's text: what follows its reasoning, which ``</think>`` ends.

    The opening tag may be missing, for some templates end in it. Reasoning that was not ended is no answer.
    """
    head, end, rest = text.partition("</think>")
    opened = head.lstrip().startswith("<think>")
    if end and (opened or "<think>" not in head):
        return rest.lstrip()
    return "" if opened else text
