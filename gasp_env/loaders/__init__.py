"""Other people's problems, read as goalposts.

- `gasp_env.loaders.livecodebench`: LiveCodeBench's records, from files or through the ``datasets`` library.
- `gasp_env.loaders.humaneval_mbpp`: HumanEval's and MBPP's, whose tests are code; that code runs in the sandbox only.

Each reads JSON lines, or records in memory. A record that cannot be used is reported with its line, the field, and the
expected and the found value; with ``strict=True`` the first such record is an error. On the command line::

    python -m gasp_env.loaders livecodebench test5.jsonl --out goalposts.jsonl
    python -m gasp_env.loaders humaneval humaneval.jsonl --out goalposts.jsonl --json report.json
    python -m gasp_env.loaders mbpp mbpp.jsonl --out goalposts.jsonl

`gasp_env.goalposts.load` reads the result. It holds no evidence of hardness yet: measure it, and add it with
`gasp_env.goalposts.with_evidence`.
"""

from gasp_env.loaders.accounting import Loaded, Skipped

__all__ = ["Loaded", "Skipped"]
