"""Real problems: their files, the schema of a record, and the comparison of answers."""

from gasp_env.goalposts.files import builtin_goalposts, dump, from_record, load, to_record, with_evidence
from gasp_env.goalposts.schema import GoalpostError

__all__ = ["GoalpostError", "builtin_goalposts", "dump", "from_record", "load", "to_record", "with_evidence"]
