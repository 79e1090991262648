"""Relevance by text: the cosine of a proposal and its goalpost, by any embedder.

Measured on our forty goalposts with ``hashing`` and empty messages, as in `gasp_env.relevance.operations`
(`pytest tests/relevance/test_relevance.py -k tells_variants -rP` prints it)::

                                     AUC     quantiles 5, 50, 95 %    pass a gate at 0.7
    one step away                  1.000     0.81  0.92  0.96         1.00
    half of the program left out   0.998     0.71  0.84  0.91         0.97
    solved by another road         0.839     0.48  0.66  0.80         0.35
    strangers                                0.41  0.54  0.66         0.02

Any two programs are similar to such an embedder, so a gate must stand higher than the default. Names count: of the four
variants in `gasp_env.policies.scripted` two are at 0.71 and 0.76, two with names of their own at 0.55 and 0.52.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gasp_env.domains.python.triplet import Proposal
from gasp_env.library import embedders
from gasp_env.relevance.registry import RelevanceFunction
from gasp_env.tasks import Goalpost


def similarity_relevance(embedder: str) -> RelevanceFunction:
    """The relevance by an embedder, named as `gasp_env.library.embedders.get` takes it.

    A proposal is its message and program, a goalpost its statement and, if there is one, its reference. The cosine
    is cut off at 0: opposite is no less relevant than unrelated.

    Raises:
        ValueError: there is no such embedder.
    """
    embed = embedders.get(embedder).embed

    def similarity(pairs: Sequence[tuple[Proposal, Goalpost]]) -> list[float | None]:
        # A lone surrogate is no text that a tokenizer could take.
        texts = [
            text.encode("utf-8", "replace").decode()
            for proposal, goalpost in pairs
            for text in (proposal.text, goalpost_text(goalpost))
        ]
        row = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        rows = np.asarray(embed(list(row)))[[row[text] for text in texts]]
        cosines = np.einsum("nd,nd->n", rows[0::2], rows[1::2])
        return [float(cosine) for cosine in np.clip(cosines, 0.0, 1.0)]

    return similarity


#: By the embedder that needs nothing.
hashing_similarity = similarity_relevance("hashing")


def goalpost_text(goalpost: Goalpost) -> str:
    """The text of a goalpost that is embedded."""
    return f"{goalpost.statement}\n{goalpost.reference or ''}".rstrip()
