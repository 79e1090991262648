"""A policy of one's own, in a file of one's own: a factory, whose parameters are options and flags.

python -m gasp_env.play --policy examples/my_policy.py:load --words "No idea."
gym.make("gasp_env:GASP-Code-v0", role="teacher", partner="examples/my_policy.py:load")
"""

from gasp_env.policies import Completion


class MyPolicy:
    """Says the same to every prompt; a model would be loaded in `__init__` and asked in `generate`."""

    version = 0

    def __init__(self, words):
        self.words = words

    def generate(self, prompts, samples, sampling):
        """For each prompt as many completions as it wants, drawn as `sampling` says."""
        return [[Completion(self.words) for _ in range(count)] for count in samples]


def load(words: str = "I would rather not."):
    """The factory."""
    return MyPolicy(words)
