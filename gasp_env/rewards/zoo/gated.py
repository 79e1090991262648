"""Rewards that look at the proposal as well: copied, repeated, novel, disagreed about."""

from __future__ import annotations

import math

from gasp_env.episode.outcome import Outcome, in_band
from gasp_env.rewards.parts import INVALID, rate, votes
from gasp_env.rewards.registry import each, teacher_reward
from gasp_env.rewards.spec import Terms
from gasp_env.rewards.texts import copy_ratio, jaccard, text_of, words

#: DARC's target success rates of its levels, and the stages that stand for them.
TARGETS = {"lemma": 0.8, "propose": 0.5, "lift": 0.2}
WINDOW = 100


@teacher_reward(
    "darc",
    source="DARC's code, github.com/RUCBM/DARC",
    tag="code",
    deviation="stages for levels (lemma easy, propose medium, lift hard); the ranking penalty reaches the lift "
    "only; no judge of relevance",
)
@each
def darc(outcome: Outcome) -> Terms:
    """-0.1 if p is 0, else 1 - |p - target|, less 0.5 max(0, p_lift + 0.2 - p_lemma); -1 if invalid or copied.

    Source: difficulty_aware_questioner.py of DARC (arXiv 2601.13761). There a questioner is told a document and a
    level: easy, medium or hard, with targets 0.8, 0.5 and 0.2. Ours: a lemma is easy, a lift hard, an unguided
    proposal of medium level; the document is the goalpost's statement, of which no lemma's message may copy more than
    0.8 of the 6-letter runs. The ranking penalty applies where both questions of a document earn something, goes
    no lower than 0, and reaches both there; here a lemma is paid before its lift exists. That a question is on topic is
    judged by a language model there, and left out. Range [-1, 1]. Its solver learns offline, easy to hard.
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    if outcome.stage == "lemma" and outcome.problem is not None and outcome.task is not None:
        copied = copy_ratio(outcome.task.content.message, outcome.problem.statement)
        if copied > 0.8:
            return {"copied": INVALID}
    p = rate(outcome)
    if p == 0:
        return {"unsolved": -0.1}
    closeness = 1 - abs(p - TARGETS[outcome.stage])
    parent = outcome.parent
    if outcome.stage != "lift" or parent is None or parent.correct == 0:
        return {"closeness": closeness}
    penalty = 0.5 * max(0.0, p + 0.2 - parent.correct / parent.samples)
    return {"closeness": closeness, "ranking": -min(closeness, penalty)}


@teacher_reward(
    "pasodoble",
    source="PasoDoble's code, github.com/HCY123902/PasoDoble",
    tag="code",
    deviation="words of message and program in place of tokens; compared with the library's last 100 valid tasks",
)
@each
def pasodoble(outcome: Outcome) -> Terms:
    """0 if p <= 0.2 or diversity <= 0.3, else 1.1 - p + 0.2 diversity; 0 if invalid.

    Source: PasoDoble's proposer (arXiv 2511.11881). Diversity is the share of the last 100 questions whose set of
    tokens has a Jaccard similarity of at most 0.8 with this one's; 1 where there is none. There the tokens are the
    model's and the questions all it wrote; here words and signs, and the valid tasks that the episode saw in its
    library. Range [0, 1.1). Solver data there: 0.2 < p < 1.
    """
    if not outcome.valid:
        return {"invalid": 0.0}
    diversity = _diversity(outcome)
    if 5 * outcome.correct <= outcome.samples or diversity <= 0.3:
        return {"rejected": 0.0}
    return {"difficulty": 1.1 - rate(outcome), "diversity": 0.2 * diversity}


def _diversity(outcome: Outcome) -> float:
    size = outcome.library.size("all") if outcome.library is not None else 0
    if outcome.library is None or size == 0:
        return 1.0
    own = words(text_of(outcome))
    recent = [outcome.library.entry("all", index) for index in range(max(0, size - WINDOW), size)]
    return sum(jaccard(own, words(entry.task.content.text)) <= 0.8 for entry in recent) / len(recent)


@teacher_reward(
    "opensir",
    needs=["embedding"],
    source="OpenSIR's code, github.com/EdinburghNLP/OpenSIR",
    tag="code",
    deviation="the length of solutions is not known here and left out; p is c/n, there agreement with the "
    "majority; compared with accepted tasks; invalid: ours is -1",
)
@each
def opensir(outcome: Outcome) -> Terms:
    """Solvability + novelty + 0.1; -1 if invalid.

    Source: rewards.py and opensir_train.yaml of OpenSIR (arXiv 2511.00602). Solvability is 1 at p = 0.7, falls linearly
    to 1/k at 0.5 and at 0.9, where k of the success rates 1/n, ..., 1 lie in between, and is 0 outside. Novelty is
    1 less the cosine similarity with the nearest task of the pool, here the accepted tasks; 1 where there is none. The
    0.1 is for format. Mean length of the solutions, its fourth term with weight 1, is left out. The reward of an
    invalid proposal is not in our sources; ours: -1. Range [-1, 3.1]. Solver data there: every readable question.

    Raises:
        ValueError: the library has no embedder.
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    if outcome.library is None:
        raise ValueError("opensir: expected outcomes with a library that can answer `nearest`")
    similarity = outcome.library.nearest(text_of(outcome))
    empty = outcome.library.size("accepted") == 0
    return {
        "solvability": _solvability(outcome.correct, outcome.samples),
        "novelty": 1.0 if empty else 1 - similarity,
        "format": 0.1,
    }


def _solvability(correct: int, samples: int) -> float:
    if not in_band(correct, samples, (5, 9)):
        return 0.0
    edge = 1 / sum(in_band(c, samples, (5, 9)) for c in range(1, samples + 1))
    return 1 - (1 - edge) * abs(correct / samples - 0.7) / 0.2


@teacher_reward(
    "disagree_samples",
    source="Multi-solver disagreement, arXiv 2608.30035",
    deviation="ours: disagree with n attempts of one solver in the place of several solvers",
)
@each
def disagree_samples(outcome: Outcome) -> Terms:
    """Entropy of the attempts' answers over log n; -1 if invalid.

    Source: ours, after the disagreement of several solvers (`disagree`), the normalised entropy of their plurality
    answers. One solver's n answers stand for them; an attempt without an answer does not vote. Whether an answer
    is right plays no part. Range [-1, 1].
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    counts = votes(outcome)
    total = counts.total()
    entropy = -sum(count / total * math.log(count / total) for count in counts.values())
    return {"disagreement": entropy / math.log(outcome.samples) if outcome.samples > 1 else 0.0}
