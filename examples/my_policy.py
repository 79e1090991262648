"""A policy of one's own in a file of one's own: a factory with parameters that become options and flags.

python -m gasp_env.play --policy examples/my_policy.py:load --words "No idea."
gym.make("gasp_env:GASP-Code-v0", role="teacher", partner="examples/my_policy.py:load")
"""

from gasp_env.policies import Completion


class MyPolicy:
    """A constant policy. A real one loads its model in `__init__` and samples from it in `generate`."""

    version = 0

    def __init__(self, words):
        self.words = words

    def generate(self, prompts, samples, sampling):
        """Return the requested number of completions of each prompt, sampled as `sampling` says."""
        return [[Completion(self.words) for _ in range(count)] for count in samples]


def load(words: str = "I would rather not."):
    """Make the policy."""
    return MyPolicy(words)
