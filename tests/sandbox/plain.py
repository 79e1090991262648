"""Calls programs of our own corpus in plain CPython, without a sandbox and without the worker's code.

Run by ``python -I plain.py REPOSITORY`` with a JSON list of programs on standard input; writes one JSON
object a line. Of ours it uses the value encoding and nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from types import ModuleType
from typing import IO, Any


def main() -> None:
    """Fork for each program, so that none finds what another left."""
    sys.path.insert(0, sys.argv[1])
    from sandbox_image.worker import codec

    del sys.path[0]
    for asked in json.load(sys.stdin):
        read, write = os.pipe()
        if os.fork() == 0:
            answer = _run(codec, asked)
            with open(write, "w") as out:
                json.dump(answer, out)
            os._exit(0)
        os.close(write)
        with open(read) as answered:
            print(answered.read(), flush=True)
        os.wait()


def _run(codec: Any, asked: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as printed:
        return _run_into(printed, codec, asked)


def _run_into(printed: IO[bytes], codec: Any, asked: dict[str, Any]) -> dict[str, Any]:
    os.dup2(printed.fileno(), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    calls: list[tuple[str | None, str]] = []
    error = ""
    try:
        code = compile(asked["text"], "<program>", "exec", dont_inherit=True)
        module = ModuleType("program")
        sys.modules["program"] = module
        exec(code, module.__dict__)  # noqa: S102
        if "f" not in vars(module):
            raise NameError("the program does not define f")
        for inputs in asked["inputs"]:
            calls.append(_call(codec, vars(module)["f"], inputs))
            if calls[-1][1].startswith("SystemExit"):
                break
    except BaseException as raised:
        error = _describe(raised)
    sys.stdout.flush()
    printed.seek(0)
    return {"name": asked["name"], "calls": calls, "error": error, "stdout": printed.read().hex()}


def _call(codec: Any, function: Any, inputs: str) -> tuple[str | None, str]:
    try:
        value = function(*codec.decode(bytes.fromhex(inputs), keep_order=True))
    except BaseException as raised:
        return None, _describe(raised)
    try:
        return codec.encode(value, keep_order=True).hex(), ""
    except codec.Unserializable as refused:
        return None, str(refused)


def _describe(error: BaseException) -> str:
    """The last line of a traceback."""
    name, text = type(error).__name__, str(error)
    return f"{name}: {text}" if text else name


if __name__ == "__main__":
    main()
