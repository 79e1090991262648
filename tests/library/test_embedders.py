from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.library import embedders
from gasp_env.library.embedders import HashingEmbedder
from gasp_env.library.library import Library
from gasp_env.tasks import Entry
from tests.library.test_library import task

LOOP = """
def f(xs):
    total = 0
    for x in xs:
        if x % 2 == 0:
            total += x
    return total
"""


def cosine(first: str, second: str) -> float:
    a, b = HashingEmbedder().embed([first, second])
    return float(a @ b)


# The hashing embedder


@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=5))
def test_rows_have_unit_length_and_depend_on_their_text_alone(texts: list[str]) -> None:
    embedder = HashingEmbedder(dimensions=64)
    vectors = embedder.embed(texts)
    assert vectors.shape == (len(texts), 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0)
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_array_equal(embedder.embed([text])[0], vector)


def test_it_is_the_same_in_every_process() -> None:
    code = (
        "import hashlib, sys; from gasp_env.library.embedders import get; "
        "print(hashlib.sha256(get('hashing').embed([sys.argv[1]]).tobytes()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code, LOOP],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert said == {hashlib.sha256(embedders.get("hashing").embed([LOOP]).tobytes()).hexdigest()}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total = 0", "total = 0  # so far"),
        ("total = 0", "\n\n    # so far\n    total=0"),
        ("\n    ", "\n  "),
        ("x % 2", "x%2"),
    ],
)
def test_layout_and_comments_make_no_difference(old: str, new: str) -> None:
    assert old in LOOP
    assert cosine(LOOP, LOOP.replace(old, new)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("% 2", "% 3"),
        ("==", "!="),
        ("+=", "-="),
        ("    return total", "        return total"),
        ("= 0", "= '# 0'"),
        ("% 2", "% 2.5"),
    ],
)
def test_one_changed_token_or_indentation_does(old: str, new: str) -> None:
    assert 0.8 < cosine(LOOP, LOOP.replace(old, new, 1)) < 0.999


def test_programs_that_share_little_are_far_apart() -> None:
    assert cosine(LOOP, "def f(s):\n    return s[::-1].upper()") < 0.5


# By name


def test_hashing_is_found_by_name_and_made_once() -> None:
    found = embedders.get("hashing")
    assert (found.name, found is embedders.get("hashing")) == ("hashing", True)
    assert 0.95 < found.threshold <= 1


OWN = """
import numpy as np

class Length:
    name = "length"
    threshold = 0.5

    def embed(self, texts):
        return np.array([[1.0, 0.0] if len(text) % 2 else [0.0, 1.0] for text in texts])

ready = Length()
number = 3

class Loose(Length):
    threshold = 7

class Halfway:
    name = "halfway"

class Ragged(Length):
    def embed(self, texts):
        return np.array([[1.0] * (1 + len(text) % 2) for text in texts])

class Flat(Length):
    def embed(self, texts):
        return np.ones(len(texts))
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own_embedders.py"
    path.write_text(OWN)
    return str(path)


def test_an_embedder_of_ones_own(own: str) -> None:
    for name in ("ready", "Length"):
        found = embedders.get(f"{own}:{name}")
        assert (found.name, found.threshold) == ("length", 0.5)
        library = Library([Entry(task(1), 4, 8, True)], embedder=found)
        same, other = task(1).content.text, task(1).content.text + " "
        assert [library.view().nearest(text) for text in (same, other)] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "hash",
            r"expected one of \['hashing'\], 'sentence-transformers:MODEL\[@THRESHOLD\]', 'module:name'",
        ),
        ("{own}:nothing", "neither registers nor defines 'nothing'"),
        ("{own}:number", "expected name, threshold and embed, got int"),
        ("{own}:Halfway", "expected name, threshold and embed, got Halfway"),
        ("{own}:Loose", r"expected a threshold in \(-1, 1\], got 7"),
        ("no_such_module_here:name", "cannot be imported"),
        ("sentence-transformers:", "expected the name or path of a model"),
        ("sentence-transformers:model@high", r"expected a threshold in \(-1, 1\], got nan"),
        ("sentence-transformers:model@1.5", r"expected a threshold in \(-1, 1\], got 1.5"),
    ],
)
def test_what_is_no_embedder(own: str, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embedders.get(name.format(own=own))


def test_vectors_of_the_wrong_shape_are_refused(own: str) -> None:
    flat = Library([Entry(task(1), 4, 8, True)], embedder=embedders.get(f"{own}:Flat"))
    with pytest.raises(
        ValueError, match=r"'length': expected finite numbers of shape \(1, d\), got shape \(1,\)"
    ):
        flat.view().nearest("x")
    ragged = Library([Entry(task(1), 4, 8, True)], embedder=embedders.get(f"{own}:Ragged"))
    with pytest.raises(ValueError, match="'length': expected . numbers a text, as before, got"):
        _ = [ragged.view().nearest(text) for text in ("x", "xx")]


# sentence-transformers


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'gasp-env\[embedders\]', or choose 'hashing'"):
        embedders.get("sentence-transformers:anything")


def test_nothing_heavy_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, gasp_env.library.embedders; sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a tiny BERT with random weights that knows a few words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    words = ["[PAD]", "[UNK]", *"def f ( x ) : return + - 1 2 sorted sum sum total for in if".split()]
    raw = Tokenizer(WordLevel({word: n for n, word in enumerate(dict.fromkeys(words))}, unk_token="[UNK]"))
    raw.pre_tokenizer = BertPreTokenizer()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )
    tokenizer.save_pretrained(folder / "bert")
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = BertModel(BertConfig(vocab_size=len(words), intermediate_size=16, **shape))
    bert.save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"))
    pooling = Pooling(16)
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(folder / "whole"))
    return str(folder / "whole")


def test_a_neural_embedder_of_the_library(model: str) -> None:
    found = embedders.get(f"sentence-transformers:{model}")
    assert found.threshold == 0.95
    assert embedders.get(f"sentence-transformers:{model}@0.9").threshold == 0.9
    texts = ["def f(x): return x + 1", "def f(x): return sorted(x) if sum(x) - 2 else x", "total"]
    vectors = found.embed(texts)
    assert vectors.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    assert found.embed([]).shape[0] == 0
    # Whoever else is embedded makes no difference, to the last bit.
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_array_equal(found.embed([text])[0], vector)
    library = Library([Entry(task(1), 4, 8, True)], embedder=found)
    assert library.view().nearest(task(1).content.text) == pytest.approx(1, abs=1e-5)
    assert library.view().nearest("def f(x): return sum(x)") < 0.999


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"the model '.*' cannot be loaded: "):
        embedders.get(f"sentence-transformers:{tmp_path}")
