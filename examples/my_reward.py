"""A teacher reward of one's own, in a file of one's own, chosen by its path.

gym.make("gasp_env:GASP-Code-v0", teacher_reward="examples/my_reward.py:mine")
python -m benchmarks.reward_shapes --rewards azr_paper examples/my_reward.py:mine
"""

from gasp_env import teacher_reward


@teacher_reward("mine")
def mine(outcomes):
    """6.75 p (1-p)^2, at most 1 where a third of the attempts are right, and 0.2 for a lift harder than its lemma."""

    def one(outcome):
        if not outcome.valid:
            return {"invalid": -1.0}
        p = outcome.correct / outcome.samples
        lemma = outcome.parent
        return {
            "learnability": 6.75 * p * (1 - p) ** 2,
            "harder": 0.2 if lemma is not None and p < lemma.correct / lemma.samples else 0.0,
        }

    return [one(outcome) for outcome in outcomes]
