"""Run by `test_processes` in several processes: an update of the same turns, whose result each of them prints."""

from __future__ import annotations

import json
import sys

from learners.command_line import command
from learners.processes import joined
from tests.learners.choices import ChoicePolicy
from tests.learners.test_update import learn, turns

if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    with command(), joined("cpu") as processes:
        start = ChoicePolicy(1) if options.get("kl", "none") != "none" else None
        moved = learn(turns(ChoicePolicy()), start, processes, **options)
        told = {
            "ranks": processes.all(processes.rank),
            "share": processes.all(list(processes.share(7))),
            "seeds": processes.all(processes.seed(3, 1)),
            "moved": processes.all(moved.flatten().tolist()),
        }
        if processes.main:
            print(json.dumps(told))
