"""gasp_env: guided asymmetric self-play on code.

Importing this package registers ``GASP-Code-v0``, ``AZR-Code-v0`` and ``RLVR-Code-v0`` with Gymnasium, one
game under three curricula; ``gym.make("gasp_env:GASP-Code-v0")`` does both at once.
"""

from __future__ import annotations

from importlib import metadata as _metadata

import gymnasium as _gym

from gasp_env.curricula import Curriculum
from gasp_env.domains import Domain
from gasp_env.domains.python.triplet import Proposal
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.episode.machine import Episode
from gasp_env.episode.turns import Credit, Turn
from gasp_env.rewards import Outcome, solver_reward, teacher_reward
from gasp_env.tasks import Goalpost, Task

__all__ = [
    "Credit",
    "Curriculum",
    "Domain",
    "Episode",
    "GaspCodeEnv",
    "GaspCodeVectorEnv",
    "Goalpost",
    "Outcome",
    "Proposal",
    "Task",
    "Turn",
    "solver_reward",
    "teacher_reward",
]

try:
    __version__ = _metadata.version("gasp-env")
except _metadata.PackageNotFoundError:  # a checkout on the path, not installed
    __version__ = "0+unknown"

for _curriculum in ("gasp", "azr", "rlvr"):
    _gym.register(
        id=f"{_curriculum.upper()}-Code-v0",
        entry_point="gasp_env.envs.env:GaspCodeEnv",
        vector_entry_point="gasp_env.envs.vector:GaspCodeVectorEnv",
        kwargs={"curriculum": _curriculum},
    )
