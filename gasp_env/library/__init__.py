"""The library: every valid task with its difficulty, and draws from it."""

from gasp_env.library.entries import LibraryError
from gasp_env.library.library import Library
from gasp_env.library.view import LibraryView, sample

__all__ = ["Library", "LibraryError", "LibraryView", "sample"]
