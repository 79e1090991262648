"""Real problems: their files, the schema of a record, and the comparison of answers."""

from gasp_env.goalposts.files import dump, load, of_record, ours, record, with_evidence
from gasp_env.goalposts.schema import GoalpostError

__all__ = ["GoalpostError", "dump", "load", "of_record", "ours", "record", "with_evidence"]
