"""Whole programs on standard input: every way to read it, and every way to end."""

from __future__ import annotations

from dataclasses import replace

from tests.adversarial.case import EXCEPTION, EXITED, OK, OUTPUT, SHORT, SIGNAL, WALL, case, whole

_LINES = "1\n2\n3\n"

READING = [
    whole(88, "input", "print(input(), input())", OK, stdin=_LINES, prints="1 2\n"),
    whole(
        88,
        "read_all",
        "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
        OK,
        stdin=_LINES,
        prints="6\n",
    ),
    whole(
        88,
        "iterate",
        "import sys\nfor line in sys.stdin: print(repr(line))",
        OK,
        stdin="a\r\nb",
        prints="'a\\r\\n'\n'b'\n",
    ),
    whole(
        88,
        "buffer",
        "import sys\nprint(sys.stdin.buffer.readline(), sys.stdin.buffer.read())",
        OK,
        stdin="\u00e9\nb",
        prints="b'\\xc3\\xa9\\n' b'b'\n",
    ),
    whole(
        88,
        "os_read",
        "import os\nprint(os.read(0, 3), os.read(0, 99))",
        OK,
        stdin=_LINES,
        prints="b'1\\n2' b'\\n3\\n'\n",
    ),
    whole(88, "open_0", "print(open(0).read().split())", OK, stdin=_LINES, prints="['1', '2', '3']\n"),
    whole(
        88,
        "fileinput",
        "import fileinput\nprint([line.strip() for line in fileinput.input()])",
        OK,
        stdin=_LINES,
        prints="['1', '2', '3']\n",
    ),
    whole(
        88,
        "mixed",
        "import os, sys\nprint(input(), sys.stdin.readline(), sys.stdin.buffer.read(), os.read(0, 9))",
        OK,
        stdin=_LINES,
        prints="1 2\n b'' b''\n",
    ),
    whole(
        88,
        "it_is_a_file",
        "import os, stat\nprint(stat.S_ISREG(os.fstat(0).st_mode), os.fstat(0).st_size)",
        OK,
        stdin=_LINES,
        prints="True 6\n",
    ),
    whole(
        88,
        "seek",
        "import sys\na = sys.stdin.read(); sys.stdin.seek(0); print(a == sys.stdin.read())",
        OK,
        stdin=_LINES,
        prints="True\n",
    ),
    whole(
        88, "change_the_input", "import os\nos.pwrite(0, b'9', 0)", EXCEPTION, contains="Error", stdin=_LINES
    ),
    whole(89, "past_the_end", "input(); input()", EXCEPTION, contains="EOFError", stdin="1"),
    whole(89, "empty_input", "print(repr(open(0).read()))", OK, prints="''\n"),
    whole(89, "never_reads", "print(7)", OK, stdin="x" * 10**6, prints="7\n"),
    whole(89, "closes_it", "import sys\nsys.stdin.close()\nprint(7)", OK, stdin=_LINES, prints="7\n"),
    whole(89, "large_input", "print(len(open(0).read()))", OK, stdin="x" * 3 * 10**6, prints="3000000\n"),
    whole(12, "input_for_ever", "while True: input()", EXCEPTION, contains="EOFError"),
]

PRINTING = [
    whole(90, "no_newline", "print('a', end='')", OK, prints="a"),
    whole(
        90,
        "spaces_and_returns",
        "import sys\nsys.stdout.write('a \\r\\n b\\t\\n')",
        OK,
        prints="a \r\n b\t\n",
    ),
    whole(90, "bytes", "import sys\nsys.stdout.buffer.write('\\u00e9\\n'.encode())", OK, prints="\u00e9\n"),
    whole(90, "no_text", "import sys\nsys.stdout.buffer.write(b'\\xff')", OK, prints="\ufffd"),
    whole(90, "long_line", "print('x' * 200000)", OK, prints="x" * 200000 + "\n"),
    whole(90, "too_long_a_line", "print('x' * 10 ** 7)", OUTPUT),
    whole(90, "just_too_long", "print('x' * 1000)", OUTPUT, limits=replace(SHORT, output_bytes=1000)),
    whole(
        90,
        "just_short_enough",
        "print('x' * 999)",
        OK,
        limits=replace(SHORT, output_bytes=1000),
        prints="x" * 999 + "\n",
    ),
    whole(90, "unflushed", "import os\nprint('lost')\nos._exit(0)", OK, prints=""),
    whole(90, "flushed", "import os\nprint('kept', flush=True)\nos._exit(0)", OK, prints="kept\n"),
    whole(
        90,
        "replaced_stdout",
        "import sys\nsys.stdout = open(1, 'w', closefd=False)\nprint('kept')",
        OK,
        prints="kept\n",
    ),
    whole(
        90,
        "closed_stdout",
        "import sys\nprint('kept')\nsys.stdout.close()",
        OK,
        EXCEPTION,
        EXITED,
        prints="kept\n",
    ),
    whole(90, "print_surrogate_whole", "print('\\ud800')", EXCEPTION, contains="UnicodeEncodeError"),
    whole(
        90,
        "to_standard_error",
        "import sys\nprint('x' * 10 ** 5, file=sys.stderr)\nprint(1)",
        OK,
        prints="1\n",
    ),
    whole(67, "print_a_verdict", "print('PASSED')\nprint('\\x1b[2J')", OK, prints="PASSED\n\x1b[2J\n"),
]

ENDING = [
    whole(
        91,
        "main_guard",
        "def main(): print(input())\nif __name__ == '__main__': main()",
        OK,
        stdin="a",
        prints="a\n",
    ),
    whole(91, "exit", "print(1)\nexit()", OK, prints="1\n"),
    whole(91, "exit_0", "import sys\nprint(1)\nsys.exit(0)", OK, prints="1\n"),
    whole(91, "exit_1", "import sys\nprint(1)\nsys.exit(1)", EXITED),
    whole(91, "exit_text", "print(1)\nraise SystemExit('no')", EXITED, contains="no"),
    whole(
        91, "exit_in_function", "def main():\n    print(1)\n    exit()\nmain()\nprint(2)", OK, prints="1\n"
    ),
    whole(91, "exception_after_output", "print(1)\n1 / 0", EXCEPTION, contains="ZeroDivisionError"),
    whole(91, "os_exit_3", "import os\nos._exit(3)", EXITED),
    whole(91, "abort_whole", "import os\nos.abort()", SIGNAL, contains="SIGABRT"),
    whole(
        91,
        "atexit",
        "import atexit\natexit.register(print, 'late')\nprint('early')",
        OK,
        prints="early\nlate\n",
    ),
    whole(
        91,
        "threads_are_waited_for",
        """
        import threading
        threading.Timer(0.05, print, ["late"]).start()
        print("early")
        """,
        OK,
        prints="early\nlate\n",
    ),
    whole(
        91,
        "daemon_threads_are_not",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint('early')",
        OK,
        prints="early\n",
    ),
    whole(
        91,
        "thread_that_never_ends",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()",
        WALL,
        limits=replace(SHORT, wall_seconds=0.5),
    ),
    whole(
        91,
        "names_are_main_s",
        "import __main__\nx = 5\nprint(__main__.x, __name__)",
        OK,
        prints="5 __main__\n",
    ),
    whole(
        91,
        "pickle_of_main",
        "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
        OK,
        prints="True\n",
    ),
    whole(
        91,
        "recursion_limit",
        "import sys\nsys.setrecursionlimit(10 ** 5)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(5000))",
        OK,
        prints="5000\n",
    ),
    whole(
        91,
        "deep_recursion_in_a_thread",
        """
        import sys, threading
        sys.setrecursionlimit(10 ** 6)
        threading.stack_size(32 * 2 ** 20)
        def f(n): return n and 1 + f(n - 1)
        t = threading.Thread(target=lambda: print(f(20000)))
        t.start()
        t.join()
        """,
        OK,
        prints="20000\n",
        limits=replace(SHORT, memory_bytes=256 * 2**20),
    ),
    case(91, "value_profile_has_no_main", "def f(): return __name__", OK, value="program"),
]
