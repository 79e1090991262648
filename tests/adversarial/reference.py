"""The list of 97 adversarial cases this suite answers, and where the answer to each is.

`LIST` names the cases in short. What is a hostile program carries the number itself (`Case.numbers`,
and the tables of `test_nondeterminism`); what is tested elsewhere is named in `ELSEWHERE`; where we
answer otherwise than the list proposes, `DEVIATIONS` says how and why. A test holds the three
against each other and against what exists.
"""

from __future__ import annotations

LIST: dict[int, str] = {
    1: "endless loop", 2: "sleep beyond the deadline", 3: "ignored signals",
    4: "a loop that catches everything", 5: "a regular expression that backtracks", 6: "huge powers",
    7: "a long loop in C", 8: "hostile comparisons and hashes", 9: "busy threads",
    10: "loops in finalizers and at exit", 11: "endless iterators as values", 12: "input at its end",
    13: "a huge string", 14: "a growing list", 15: "a growing bytearray", 16: "a huge format width",
    17: "many thread stacks", 18: "mmap", 19: "memfd_create", 20: "MemoryError caught for ever",
    21: "the garbage collector", 22: "zip bombs, deep JSON", 23: "fork bomb", 24: "daemon",
    25: "subprocess, system, pty", 26: "multiprocessing", 27: "clone, vfork, clone3 by number",
    28: "x32 and 32 bit calls", 29: "threads after the return", 30: "endless printing",
    31: "signals to others", 32: "stopping oneself", 33: "writing anywhere",
    34: "huge writes and truncation", 35: "thousands of descriptors", 36: "links, FIFOs, devices",
    37: "closing and redirecting descriptors", 38: "forged and broken reports",
    39: "reading what is not theirs", 40: "locks and leases", 41: "hooks left behind", 42: "network",
    43: "Docker's socket", 44: "other socket families", 45: "rare system calls", 46: "cloud metadata",
    47: "asyncio works", 48: "imports work", 49: "exit", 50: "_exit", 51: "abort", 52: "segmentation fault",
    53: "an exit that hides a failure", 54: "odd exceptions", 55: "a false timeout", 56: "a huge message",
    57: "exception chains without end", 58: "broken builtins and modules", 59: "faulthandler",
    60: "equal to everything", 61: "subclasses of values", 62: "lying metaclasses",
    63: "ANY, arrays, decimals", 64: "a hunt for the answer", 65: "expressions as answers",
    66: "injections as answers", 67: "verdicts and frames in the output", 68: "monkeypatched builtins",
    69: "lone surrogates", 70: "odd text", 71: "NaN, infinities, minus zero", 72: "thousands of digits",
    73: "a million levels of recursion", 74: "cycles and depth", 75: "what is no value", 76: "mixed keys",
    77: "literals that break parsers", 78: "sources that break compilers",
    79: "types that are nearly equal", 80: "randomness and clocks", 81: "hashes and orders of sets",
    82: "identities", 83: "state between calls", 84: "locale, time zone, folder", 85: "races of threads",
    86: "properties of the machine", 87: "limits that show", 88: "every way to read standard input",
    89: "beyond its end, never, closed", 90: "every way to print", 91: "whole programs and how they end",
    92: "parts that are killed", 93: "10 000 mixed runs", 94: "a machine out of something",
    95: "a clock that jumps", 96: "two pools on one daemon", 97: "a machine that cannot",
}  # fmt: skip

#: Tests by number, as pytest names them without parameters.
ELSEWHERE: dict[int, tuple[str, ...]] = {
    11: ("tests/sandbox_image/test_codec.py::test_other_types_are_refused",),
    17: (
        "tests/sandbox/test_limits.py::test_exactly_so_many_threads",
        "tests/sandbox/tiers/test_tiers.py::test_threads_are_counted_exactly",
    ),
    27: ("tests/adversarial/test_mutation.py::test_every_denial_of_our_filters_is_needed",),
    38: (
        "tests/sandbox/test_frames.py::test_whatever_is_not_exactly_a_report_is_no_success",
        "tests/sandbox/test_frames_fuzz.py::test_any_report_is_judged",
        "tests/sandbox_image/test_codec_fuzz.py::test_sets_of_one_hash_are_not_compared_for_ever",
    ),
    45: (
        "tests/adversarial/test_mutation.py::test_every_denial_of_the_profile_is_needed",
        "tests/adversarial/test_mutation.py::test_every_denial_of_our_filters_is_needed",
    ),
    65: (
        "tests/test_values.py::test_everything_else_is_refused",
        "tests/test_azr_holes.py::test_1_model_text_is_never_evaluated_on_the_host",
        "tests/test_azr_holes.py::test_4_deduction_takes_values_not_expressions",
        "tests/domains/python/test_parsing.py::test_answers_are_literals",
    ),
    66: (
        "tests/test_values.py::test_everything_else_is_refused",
        "tests/test_values_fuzz.py::test_any_text_is_one_value_or_refused",
        "tests/test_azr_holes.py::test_2_abduction_answers_are_not_spliced_into_code",
    ),
    71: (
        "tests/test_values.py::test_equality",
        "tests/sandbox_image/test_codec.py::test_floats_that_count_as_one",
    ),
    72: ("tests/sandbox/test_limits.py::test_digits", "tests/test_values.py::test_largest_int"),
    73: ("tests/sandbox/test_limits.py::test_recursion",),
    77: (
        "tests/test_values.py::test_hostile_sizes_end_quickly",
        "tests/test_values_fuzz.py::test_bombs_cost_no_more_than_their_text",
        "tests/domains/python/test_syntax.py::test_programs_that_break_parsers",
        "tests/sandbox/test_limits.py::test_a_program_that_is_too_long_is_not_even_sent",
    ),
    79: (
        "tests/sandbox_image/test_codec.py::test_types_are_told_apart",
        "tests/test_azr_holes.py::test_6_types_are_not_confused",
    ),
    80: (
        "tests/adversarial/test_nondeterminism.py::test_numpy_draws_differently_in_every_run",
        "tests/test_azr_holes.py::test_8_nondeterminism_across_processes_is_seen",
    ),
    81: ("tests/domains/python/test_gate.py::test_difference_between_hash_seeds",),
    83: (
        "tests/domains/python/test_gate.py::test_state_that_leaks_between_calls",
        "tests/sandbox/test_per_call.py::test_fresh_calls_find_nothing_of_each_other",
        "tests/domains/python/test_judge.py::test_every_pair_is_judged_alone",
    ),
    85: ("tests/adversarial/test_nondeterminism.py::test_threads_that_race_show_it_sooner_or_later",),
    87: (
        "tests/adversarial/test_nondeterminism.py::test_what_depends_on_a_limit_shows_under_another_limit",
        "tests/domains/python/test_gate.py::test_near_a_limit",
    ),
    88: ("tests/sandbox/test_differential.py::test_whole_programs_do_what_they_do_in_plain_python",),
    90: (
        "tests/sandbox/test_profiles.py::test_what_is_printed_is_whole_or_too_long_and_never_cut_silently",
        "tests/sandbox/test_profiles.py::test_texts_come_back_whole",
    ),
    91: ("tests/sandbox/test_differential.py::test_whole_programs_do_what_they_do_in_plain_python",),
    92: (
        "tests/sandbox/test_chaos.py::test_every_part_is_killed_in_turn_and_a_thousand_answers_are_right",
        "tests/sandbox/test_chaos.py::test_no_container_outlives_its_killed_owner_whatever_was_forked",
        "tests/sandbox/test_sandbox.py::test_a_killed_worker_costs_nothing_but_time",
        "tests/sandbox/test_sandbox.py::test_no_container_outlives_a_killed_owner",
        "tests/sandbox/tiers/test_tiers.py::test_nothing_outlives_its_owner_or_its_supervisor",
        "tests/sandbox/dispatch/test_dispatcher.py::test_a_daemon_that_comes_back_costs_nothing",
        "tests/sandbox/dispatch/test_dispatcher.py::test_a_daemon_that_stays_away_is_an_infra_error",
    ),
    93: ("tests/sandbox/test_mix.py::test_good_programs_notice_nothing",),
    94: (
        "tests/sandbox/test_chaos.py::test_a_limit_on_descriptors_is_an_error_or_fewer_workers",
        "tests/sandbox/test_cache.py::test_a_full_disk_costs_a_warning",
        "tests/sandbox/tiers/test_image.py::test_a_full_disk_says_so",
        "tests/sandbox/dispatch/test_dispatcher.py::test_workers_that_do_not_open_are_done_without",
    ),
    95: (
        "tests/sandbox/test_limits.py::test_no_deadline_is_kept_with_a_clock_that_can_be_set",
        "tests/sandbox/dispatch/test_dispatcher.py::test_the_clock_on_the_wall_does_not_matter",
    ),
    96: (
        "tests/sandbox/test_chaos.py::test_two_sandboxes_on_one_daemon_do_not_disturb_each_other",
        "tests/sandbox/test_sandbox.py::test_what_a_dead_owner_created_and_never_started_is_removed",
        "tests/sandbox/test_sandbox.py::test_threads_in_one_container_are_not_counted_in_another",
    ),
    97: (
        "tests/sandbox/tiers/test_tiers.py::test_docker_that_refuses_names_the_fix",
        "tests/sandbox/tiers/test_tiers.py::test_an_old_daemon_is_refused",
        "tests/sandbox/tiers/test_tiers.py::test_a_daemon_that_cannot_filter_system_calls_is_refused",
        "tests/sandbox/test_sandbox.py::test_a_missing_image_says_so",
    ),
}

#: Where we answer otherwise than the list proposes.
DEVIATIONS: dict[int, str] = {
    1: (
        "Processor time is limited in whole seconds, which is what RLIMIT_CPU takes, and by the kernel's "
        "count of it."
    ),
    10: (
        "Decided: ok. The value was reported; what runs at exit or in a finalizer is killed with the process."
    ),
    17: "The bound is the run's own number of threads; stacks beyond the memory limit end the run as well.",
    18: "mmap raises OSError (ENOMEM) in Python, not MemoryError: exception, or memory_limit.",
    23: (
        "The status is exception (PermissionError). denied is what a program ends with that is killed "
        "for the call."
    ),
    26: (
        "The message is the system's, PermissionError or FileNotFoundError: nothing in the interpreter "
        "is patched."
    ),
    30: "More than 8 MiB printed end the run as output_limit, from a daemon thread too.",
    37: "A run whose report cannot be sent any more ends as exited.",
    39: (
        "Where the kernel has no Landlock the world-readable files of the image can be read; none holds "
        "a secret."
    ),
    45: (
        "Answered with EPERM rather than by killing: libraries probe and go on. denied remains for "
        "foreign call numbers."
    ),
    50: "With profile stdin an _exit(0) is ok: what was printed decides.",
    52: "A program that damages its own memory may end in any way, but as itself.",
    57: "The traceback is not sent for values; the error is one line of at most 256 characters.",
    58: "A program that destroys what its process needs to report is exited, never a failure of ours.",
    61: "Decided: unserializable. Nothing is coerced.",
    63: "No domain of ours lists numpy arrays or decimals as values.",
    72: (
        "The value language ends at 4300 digits, the interpreter's own default: a longer int is "
        "unserializable whatever the run's limit on digits, which concerns text alone."
    ),
    73: "Also with a raised recursion limit; Limits.recursion only says where it starts.",
    77: (
        "Sources are compiled by CPython, in the sandbox; answers are read by our parser, which refuses "
        "them unparsed."
    ),
    78: (
        "A byte order mark is refused, since a source is text here and not a file; a coding cookie has "
        "no meaning; a million empty lines compile."
    ),
    80: (
        "The sandbox does not judge: it runs under four hash seeds and in processes of their own, and "
        "the gate compares."
    ),
    85: "Two runs may agree by chance; the gate accepts no program that imports threading.",
    86: (
        "The host's name shows in the landlock tier, which has no namespaces. The gate accepts no import "
        "that tells it."
    ),
    92: "The daemon that is restarted is one that the test starts for itself; others may be using the machine's.",
    93: "1000 by default, 10 000 where GASP_MIX=10000.",
}
