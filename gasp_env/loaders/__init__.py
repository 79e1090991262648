"""Problems of others, read as goalposts.

- `gasp_env.loaders.livecodebench`: LiveCodeBench's records, from files or through the ``datasets`` library.
- `gasp_env.loaders.humaneval_mbpp`: HumanEval's and MBPP's, whose tests are code; that code runs in the sandbox only.

Each reads JSON lines, or records that are there already, and says of every record it cannot use which line it was,
which field, what was expected and what came. With ``strict=True`` the first such record is an error. On the command
line::

    python -m gasp_env.loaders livecodebench test5.jsonl --out goalposts.jsonl
    python -m gasp_env.loaders humaneval humaneval.jsonl --out goalposts.jsonl --json report.json
    python -m gasp_env.loaders mbpp mbpp.jsonl --out goalposts.jsonl

What comes out is read by `gasp_env.goalposts.load`. None of it has evidence of hardness yet: measure it, and add it
with `gasp_env.goalposts.with_evidence`.
"""

from gasp_env.loaders.accounting import Loaded, Skipped

__all__ = ["Loaded", "Skipped"]
