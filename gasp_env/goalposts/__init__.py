"""Real problems: files of them, what a record must hold, and how two answers compare."""

from gasp_env.goalposts.files import dump, load, of_record, ours, record, with_evidence
from gasp_env.goalposts.schema import GoalpostError

__all__ = ["GoalpostError", "dump", "load", "of_record", "ours", "record", "with_evidence"]
