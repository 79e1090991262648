"""Property tests here call torch, whose first call is slow: no deadline per example."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("learners", deadline=None)
settings.load_profile("learners")
