"""Real problems: files of them, what a record must hold, and how two answers compare."""

from gasp_env.goalposts.files import builtin_goalposts, dump, from_record, load, to_record, with_evidence
from gasp_env.goalposts.schema import GoalpostError

__all__ = ["GoalpostError", "builtin_goalposts", "dump", "from_record", "load", "to_record", "with_evidence"]
