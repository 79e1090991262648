"""Published rewards that nothing here can compute, listed with their needs.

Choosing one says so. Where a part can be had, a reward of another name has it.
"""

from __future__ import annotations

from gasp_env.rewards.registry import listed_reward

listed_reward(
    "sqlm_code",
    needs=["test_results"],
    source="Self-Questioning Language Models, arXiv 2508.03682",
    formula="1 if an answer passes some of the proposer's 5 unit tests and not all, else 0 (see sqlm_attempts)",
)
listed_reward(
    "soar",
    needs=["inner_training"],
    source="SOAR, arXiv 2601.18778",
    formula="accuracy on sampled hard questions of a student trained on the proposals, less before",
)
listed_reward(
    "populora",
    needs=["second_solver"],
    source="PopuLoRA, arXiv 2605.16727",
    formula="0 if p is 0, else 1-p of the matched student; -1 if invalid (of one student: azr_paper)",
)
listed_reward(
    "seirenes",
    needs=["hint_rollouts"],
    source="Seirênes, arXiv 2605.11636",
    formula="p without, less p with the adversary's misleading context",
)
listed_reward(
    "spade",
    needs=["hint_rollouts"],
    source="SPADE, arXiv 2608.19197",
    formula="mean return with a hint, less without",
)
listed_reward(
    "sgs",
    needs=["batch", "judge"],
    source="SGS, arXiv 2604.20209",
    formula="(0 if p is 0 or among the easiest 30 %, else 1-p) times the guide's score; 0 if invalid "
    "(see sgs_relevance)",
)
listed_reward(
    "mae",
    needs=["judge"],
    source="Multi-Agent Evolve, arXiv 2510.23595",
    formula="weighted mean of judged quality, 1 - mean judged score of the solver, and format (1, 0.5, 0)",
)
listed_reward(
    "lsp",
    needs=["batch", "judge"],
    source="Language Self-Play, arXiv 2509.07414",
    formula="mean value of the batch less the query's, plus judged quality from 0 to 7 (see lsp_zero)",
)
listed_reward(
    "sukhbaatar",
    needs=["step_counts"],
    source="Asymmetric self-play, arXiv 1703.05407",
    formula="gamma max(0, t_solver - t_teacher): the solver's steps less the teacher's",
)
listed_reward(
    "paired",
    needs=["second_solver"],
    source="PAIRED, arXiv 2012.02096",
    formula="best return of the antagonist less mean return of the protagonist (of one solver: eva)",
)
listed_reward(
    "disagree",
    needs=["second_solver"],
    source="Multi-solver disagreement, arXiv 2608.30035",
    formula="normalised entropy of several solvers' plurality answers (see disagree_samples)",
)
listed_reward(
    "novelty",
    needs=["likelihoods"],
    source="learnable novelty; its paper was not identified",
    formula="log p(answer | question, context) - log p(answer | question)",
)
