"""Relevance: how much a lemma or a lift shares with its goalpost. Our addition: not in the paper, and off by default.

The published rewards know only how often the solver was right. In our prototypes they did not tie a lemma to its
goalpost, and the teacher left the topic within a hundred updates. A relevance measures the tie, and a
`RelevanceRule` uses it: ``gate`` rejects a proposal below a threshold, ``scale`` shrinks its
reward, ``score`` pays for it.

Choices (`get`):

- ``operations``: shared operations of two syntax trees. Needs a reference (`gasp_env.relevance.operations`).
- ``similarity``, ``similarity:EMBEDDER``: cosine of two texts (`gasp_env.relevance.similarity`).
- ``judge:POLICY``: another policy is asked in words (`gasp_env.relevance.by_policy`).
- ``file.py:name``, ``module:name``: one of your own, registered there like a reward::

    from gasp_env.relevance import relevance

    @relevance("hinted")
    def hinted(pairs):
        '''1 if the message has a tag of the goalpost in it, else 0.'''
        return [float(any(tag in proposal.message for tag in goalpost.tags)) for proposal, goalpost in pairs]
"""

# Imported for its registration.
from gasp_env.relevance import operations  # noqa: F401
from gasp_env.relevance.registry import Relevance, RelevanceFunction, get, relevance, relevances
from gasp_env.relevance.rule import MODES, Mode, RelevanceRule

__all__ = [
    "MODES",
    "Mode",
    "Relevance",
    "RelevanceFunction",
    "RelevanceRule",
    "get",
    "relevance",
    "relevances",
]
