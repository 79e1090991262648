"""Texts to vectors, so that near copies of a task can be told from new ones.

Choices (`get`):

- ``hashing``: counts of code tokens and pairs of neighbours. Needs nothing, and is the same everywhere.
- ``sentence-transformers:MODEL`` or ``sentence-transformers:MODEL@THRESHOLD``: a neural embedder of that library, by
  the name or path of its model; the threshold is 0.95 unless said. ``pip install 'gasp-env[embedders]'``.
- ``module:name``, ``file.py:name``: an `Embedder` of your own, or a factory of one.

Similarities are comparable within one embedder only, and so are thresholds: an embedder brings its own.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gasp_env.registry import Registry

Vectors = NDArray[np.floating[Any]]

#: Cosine above which a neural code embedder's texts count as the same: GASP's value; its embedder is not named.
NEURAL_THRESHOLD = 0.95
#: Cosine from which the hashing embedder's texts count as the same. At 0.95 it would reject nearly all lifts that
#: change one operation; here it rejects at most 5 % of them (``benchmarks/results/embedder_threshold``).
HASHING_THRESHOLD = 0.9995


@runtime_checkable
class Embedder(Protocol):
    """The embedder of texts that novelty measures similarity with.

    Attributes:
        name: by which it is chosen.
        threshold: cosine similarity from which on two tasks count as the same.
    """

    name: str
    threshold: float

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Rows of unit length, shape (n, d): one a text, which does not depend on the other texts of the call."""
        ...


def _as_embedder(name: str, found: Any) -> Embedder:
    """The object found, or its result if it is a factory."""
    if callable(found) and (isinstance(found, type) or not isinstance(found, Embedder)):
        found = found()
    if not isinstance(found, Embedder):
        raise ValueError(f"embedder {name!r}: expected name, threshold and embed, got {type(found).__name__}")
    _check_threshold(name, found.threshold)
    return found


EMBEDDERS: Registry[Embedder] = Registry(
    "embedder",
    families={"sentence-transformers:MODEL[@THRESHOLD]": "gasp_env.library.embedders:neural_embedder"},
    check=_as_embedder,
)
#: The embedder of a name (`gasp_env.registry.Registry.get`); asked twice, the same one.
get = EMBEDDERS.get


@EMBEDDERS.registered("hashing")
class HashingEmbedder:
    """Signed feature hashing of tokens and of pairs of neighbouring tokens; layout and comments do not count.

    It knows nothing of meaning. A changed operation changes one token in a hundred, and so do two swapped
    statements. So at a threshold that lets lifts pass it rejects little that the exact test does not, 1 to 3 % of
    near copies. At 0.95 it rejects nearly everything (``benchmarks/embedder_threshold.py``).

    Signs, which keep inner products unbiased: Weinberger et al. 2009, arXiv 0902.2206.

    Args:
        threshold: see `Embedder`.
        dimensions: length of a row. Features that fall together add up.
    """

    name = "hashing"

    def __init__(self, threshold: float = HASHING_THRESHOLD, dimensions: int = 1024) -> None:
        self.threshold = threshold
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Rows of unit length, shape (n, dimensions)."""
        vectors = np.zeros((len(texts), self.dimensions))
        for row, text in zip(vectors, texts, strict=True):
            tokens = ["", *_tokens(text), ""]
            features = chain(tokens[1:], map(" ".join, pairwise(tokens)))
            numbers = np.array([_hash(feature) for feature in features], np.uint64)
            places, signs = (numbers >> np.uint64(1)) % np.uint64(self.dimensions), numbers & np.uint64(1)
            row += np.bincount(places.astype(np.int64), 2.0 * signs - 1.0, self.dimensions)
            length = float(np.linalg.norm(row))
            if length == 0:  # every feature met another with the opposite sign
                row[0] = length = 1.0
            row /= length
        return vectors


class _Neural:
    """A model of the sentence-transformers library. Text beyond the model's own length is cut off."""

    def __init__(self, name: str, model: Any, threshold: float) -> None:
        self.name = name
        self.threshold = threshold
        self._model = model

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Rows of unit length, shape (n, d of the model)."""
        if not texts:
            return np.zeros((0, 0))
        # One at a time: beside a longer text a shorter one is padded, which changes its last digits, and with them,
        # now and then, whether it is similar enough. An episode must not depend on the other texts of a call.
        encoded = self._model.encode(
            list(texts),
            batch_size=1,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        vectors: Vectors = np.asarray(encoded).reshape(len(texts), -1)
        return vectors


def neural_embedder(model: str) -> Embedder:
    """An embedder of the sentence-transformers library.

    Args:
        model: ``"MODEL"``, by name or path, or ``"MODEL@THRESHOLD"``.

    Raises:
        ValueError: the library is not installed, the model cannot be loaded, or the threshold is not a number in
            (-1, 1].
    """
    name = f"sentence-transformers:{model}"
    plain, at, said = model.rpartition("@")
    if at:
        model = plain
    try:
        threshold = float(said) if at else NEURAL_THRESHOLD
    except ValueError:
        threshold = math.nan
    _check_threshold(name, threshold)
    if not model:
        raise ValueError(f"embedder {name!r}: expected the name or path of a model after the colon")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ValueError(
            f"embedder {name!r}: sentence-transformers cannot be imported ({error}); install it with "
            "pip install 'gasp-env[embedders]', or choose 'hashing'"
        ) from error
    try:
        # Weights in safetensors only: other formats are pickles, which execute their content.
        loaded = SentenceTransformer(model, model_kwargs={"use_safetensors": True})
    except Exception as error:
        raise ValueError(
            f"embedder {name!r}: the model {model!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return _Neural(name, loaded, threshold)


def _check_threshold(name: str, threshold: object) -> None:
    if not isinstance(threshold, float | int) or not -1 < threshold <= 1:
        raise ValueError(f"embedder {name!r}: expected a threshold in (-1, 1], got {threshold!r}")


_TOKEN = re.compile(
    r"""(?P<line>^[ \t]*(?=[^\s\#]))
      | (?P<comment>\#.*)
      | (?P<token>
            \w+(?:\.\d+)?
          | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'
          | (?:\*\*|//|>>|<<|[-+*/%&|^=<>!:])=?
          | [^\s\w]
        )""",
    re.VERBOSE | re.MULTILINE,
)


def _tokens(text: str) -> Iterator[str]:
    """Words, numbers, strings and signs; where blocks begin and end. No comments, no other white space."""
    blocks = [0]
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "token":
            yield match[0]
        elif match.lastgroup == "line":
            width = len(match[0].expandtabs(8))
            while width < blocks[-1]:
                blocks.pop()
                yield "dedent"
            if width > blocks[-1]:
                blocks.append(width)
                yield "indent"


@lru_cache(2**16)
def _hash(feature: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )


#: Guards the rows of all tables, for moments: a table is copied and pickled, which a lock of its own could not be.
_ADDING = threading.RLock()


class EmbeddingTable:
    """Embeddings of texts. Rows are only ever added, so that views, copies of a library and threads may share them."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._row: dict[bytes, int] = {}
        self._table = np.empty((0, 0), np.float32)

    def rows(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The row of each text; new texts are embedded."""
        keys = [_digest(text) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._row}
        if new:
            vectors = self._embed(list(new.values()))
            with _ADDING:  # another thread may have been faster
                fresh = [place for place, key in enumerate(new) if key not in self._row]
                self._append([list(new)[place] for place in fresh], vectors[fresh])
        return np.array([self._row[key] for key in keys], dtype=np.int64)

    def similarities(self, text: str) -> NDArray[np.float32]:
        """Cosine similarity of a text with every row."""
        # einsum: a row's product depends on nothing but the row. A matrix product may round it otherwise
        # when there are more rows, and the same text be rejected in one view and not in the other.
        with _ADDING:
            table = self._table[: len(self._row)]
        products: NDArray[np.float32] = np.einsum("nd,d->n", table, self._embed([text])[0])
        return products

    def __len__(self) -> int:
        return len(self._row)

    def of(self, texts: Sequence[str]) -> EmbeddingTable:
        """A table of its own with the rows that these texts have here."""
        fresh = EmbeddingTable(self._embedder)
        with _ADDING:
            known = [key for key in dict.fromkeys(map(_digest, texts)) if key in self._row]
            if known:
                fresh._append(known, self._table[[self._row[key] for key in known]])
        return fresh

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        name, vectors = self._embedder.name, np.asarray(self._embedder.embed(texts))
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise ValueError(
                f"embedder {name!r}: expected finite numbers of shape ({len(texts)}, d), got shape {vectors.shape}"
            )
        if len(self._row) and vectors.shape[1] != self._table.shape[1]:
            raise ValueError(
                f"embedder {name!r}: expected {self._table.shape[1]} numbers a text, as before, got {vectors.shape[1]}"
            )
        return vectors.astype(np.float32)

    def _append(self, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        count, total = len(self._row), len(self._row) + len(keys)
        if total > len(self._table):
            table = np.empty((max(total, 2 * len(self._table)), vectors.shape[1]), np.float32)
            if count:
                table[:count] = self._table[:count]
            self._table = table
        self._table[count:total] = vectors
        self._row.update(zip(keys, range(count, total), strict=True))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
