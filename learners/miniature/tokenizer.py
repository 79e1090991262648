"""Word-level tokens over real syntax.

A word is a piece of Python or of the prompts' scaffolding, coarse enough that a program of two
steps takes about a dozen, fine enough that a model can write programs that do not compile.
Integers of the world are one word each, with the space before them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PAD, END = "<pad>", "<end>"

#: Words after which a new segment begins; a token's place is its segment and its offset in it.
DELIMITERS: tuple[str, ...] = (
    "examples",
    "\n",
    " ->",
    "\nprogram\n",
    "\ninput",
    "\noutput",
    "\nvariant\n",
    "lemma io\n",
    "lemma f\n",
    "lift io\n",
    "lift f\n",
    "def f(x):",
    "\n    x = ",
    "\n    return x",
)

WORDS: tuple[str, ...] = (
    *("x", "sorted(x)", "[0]", "[::-1]", "[::2]", "[1:]", "[:1]", "[:-1]", "[-1:]"),
    *(" + x", " + [len(x)]", " + [sum(x)]"),
    *("[v", "[-v", "[abs(v)", " +", " -", " *", " //", " v"),
    *(" for v in x]", " for v in x", " if v % 2 ==", " if v >", "]"),
    *(" []", " ?"),
)

BOUND = 99

VOCABULARY: tuple[str, ...] = (
    PAD,
    END,
    *DELIMITERS,
    *WORDS,
    *(f" {value}" for value in range(-BOUND, BOUND + 1)),
)


class UnknownTextError(ValueError):
    """Text that no sequence of words spells."""


class Tokenizer:
    """Greedy longest match over a fixed vocabulary; ``decode(encode(text)) == text``."""

    def __init__(self, vocabulary: Sequence[str] = VOCABULARY) -> None:
        self.vocabulary = tuple(vocabulary)
        self.pad, self.end = self.vocabulary.index(PAD), self.vocabulary.index(END)
        self._ids = {word: i for i, word in enumerate(self.vocabulary) if word not in (PAD, END)}
        # A number must end where its digits do: " 12" is never " 1" and then a stray "2".
        self._word = re.compile(
            "|".join(
                re.escape(word) + (r"(?!\d)" if word[-1].isdigit() else "")
                for word in sorted(self._ids, key=len, reverse=True)
            )
        )
        self.delimiters = tuple(self._ids[word] for word in DELIMITERS)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, no end token.

        Raises:
            UnknownTextError: naming the place where no word of the vocabulary fits.
        """
        ids, at = [], 0
        while at < len(text):
            match = self._word.match(text, at)
            if match is None:
                raise UnknownTextError(
                    f"expected text made of the miniature's words, found {text[at : at + 20]!r} at character {at}; "
                    "see learners/miniature/tokenizer.py for the vocabulary"
                )
            ids.append(self._ids[match.group()])
            at = match.end()
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``; pad and end tokens spell nothing."""
        return "".join(self.vocabulary[i] for i in ids if i not in (self.pad, self.end))

    def values(self) -> list[int | None]:
        """For every token the integer it stands for, or None."""
        return [int(word) if re.fullmatch(r" -?\d+", word) else None for word in self.vocabulary]
