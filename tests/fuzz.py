"""How many examples property tests draw: the same ones in every `make test`, fresh and more of them in `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import settings

#: `make fuzz` sets it: by how much the number of examples of every property test is multiplied.
FACTOR = int(os.environ.get("GASP_FUZZ", "0"))

settings.register_profile("fixed", derandomize=True, database=None, print_blob=True)
settings.register_profile("fuzz", max_examples=100 * max(FACTOR, 1), deadline=None, print_blob=True)


def examples(count: int) -> int:
    """The number of examples where a test asks for its own."""
    return count * max(FACTOR, 1)


def load_profile() -> None:
    """Choose the profile that the environment asks for."""
    settings.load_profile("fuzz" if FACTOR else "fixed")
