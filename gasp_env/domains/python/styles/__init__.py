"""Prompt styles of the Python domain by name: ``exercises``, the default, and ``base``, for base models."""

from gasp_env.domains.python.styles.base import BaseStyle
from gasp_env.domains.python.styles.exercises import ExercisesStyle

__all__ = ["BaseStyle", "ExercisesStyle"]
