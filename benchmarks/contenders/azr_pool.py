"""A pebble process pool that executes programs as Absolute Zero's executor does.

Absolute Zero's executor (LeapLabTHU/Absolute-Zero-Reasoner at a82124e, `python_executor.py`; nothing of
it is copied) has a `pebble.ProcessPool`, each program sent to a worker process that stays, executed
there with `exec`, the call `eval`-ed and its `repr` sent back; a time limit by SIGALRM inside the
worker, another by pebble around it, which kills the worker. No isolation, no limit on memory, and
programs find the interpreter as earlier ones left it. Its pool has one worker and is given one
program at a time; here it gets as many workers as we have and all programs at once, in its favour.

Started as ``python -m benchmarks.contenders.azr_pool WORKERS``. Speaks JSON lines: a list of
``[program, call]`` is answered by the list of the calls' results, as literals, or null.
"""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import TimeoutError
from multiprocessing import get_context
from typing import Any

from pebble import ProcessExpired, ProcessPool

SECONDS = 10


def execute(program: str, call: str) -> str:
    """Execute one program, in a worker of the pool."""
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        names: dict[str, Any] = {}
        exec(program, names)
        return repr(eval(call, names))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _out_of_time(_signal: int, _frame: Any) -> None:
    raise TimeoutError


def main() -> None:
    """Serve until standard input closes."""
    with ProcessPool(max_workers=int(sys.argv[1]), context=get_context("fork")) as pool:
        for line in sys.stdin:
            futures = [pool.schedule(execute, args=tuple(one), timeout=SECONDS) for one in json.loads(line)]
            answers: list[str | None] = []
            for future in futures:
                try:
                    answers.append(future.result())
                except (Exception, ProcessExpired):
                    answers.append(None)
            print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
