"""Programs that benchmarks start for comparison: each a process of its own that executes programs for us.

None of it is sandboxed, and all of it runs only texts of our own or of the HumanEval records. The
host's rule that nothing is evaluated (`tests/test_hygiene.py`) does not hold here; nothing else
imports these modules.
"""

#: Ticket that tells `floor` the next program: a number of so many bytes, big end first; and the one that ends it.
FLOOR_TICKET_BYTES = 4
FLOOR_END = 2**32 - 1
#: Protections that `floor` can take on, in the worker's order: two once in a zygote, the others in every fork.
PROTECTIONS = ("landlock", "zygote_filter", "die_with_parent", "descriptors", "rlimits", "child_filter")
