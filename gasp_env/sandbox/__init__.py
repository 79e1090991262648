"""Executes untrusted programs and reports, value by value, what they returned.

    with Sandbox() as sandbox:
        [result] = sandbox.run_many([Run("def f(x): return x + 1", inputs=((1,), (2,)))])

The sandbox executes and the host judges: expected values never go in, and a program's output is a
claim in a typed encoding, decoded strictly and compared on the host. `sandbox_image/README.md` lists
the protections and their limits.

Where to look: `runs` defines questions and answers, `sandbox` the class that callers use, `frames` the messages
to a worker and back, `dispatch` the scheduling of runs on workers, `tiers` the isolation around a worker.
"""

from __future__ import annotations

from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.runs import HASH_SEEDS, PROFILES, Call, Limits, Result, Run, Status
from gasp_env.sandbox.sandbox import Sandbox, shared

__all__ = [
    "HASH_SEEDS",
    "PROFILES",
    "Call",
    "Limits",
    "Result",
    "Run",
    "Sandbox",
    "SandboxError",
    "Status",
    "shared",
]
