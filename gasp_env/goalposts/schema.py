"""Checks of goalpost records; `gasp_env.goalposts.files` documents the fields."""

from __future__ import annotations

import ast
import keyword
import warnings
from typing import Any

from gasp_env import values
from gasp_env.goalposts import answers
from gasp_env.records import Record, RecordError
from gasp_env.tasks import RULES, Arguments, Evidence, Goalpost, Rule
from sandbox_image.worker import wire

DIFFICULTIES = ("easy", "medium", "hard")

REQUIRED = ("id", "statement", "signature", "tests")
OPTIONAL: dict[str, Any] = {
    "shown": 0,
    "reference": None,
    "evidence": [],
    "tags": [],
    "difficulty": "medium",
    "entry": "f",
    "rule": "exact",
    "prelude": "",
}
#: Encoded bytes of one test's arguments: a run holds them beside the program, see `values.MAX_BYTES`.
MAX_ARGUMENTS = values.MAX_BYTES // 2


class GoalpostError(RecordError):
    """A malformed goalpost file."""


class GoalpostRecord(Record):
    """The checks of one goalpost's record."""

    error = GoalpostError

    def goalpost(self, value: Any) -> Goalpost:
        """Build the goalpost that a record describes."""
        record = self.fields(value, "", REQUIRED, OPTIONAL)
        entry, rule = self._entry(record["entry"]), self._rule(record["rule"])
        signature = self._signature(record["signature"], entry)
        arity = self._arity(signature, entry)
        tests = self.items(record["tests"], "tests")
        if not tests:
            self.refuse(
                "tests", "at least one test", tests, "add one: an expected value is what judges an answer"
            )
        pairs = [self._test(test, f"tests[{index}]", arity, entry, rule) for index, test in enumerate(tests)]
        reference = record["reference"]
        difficulty = self.choice(record["difficulty"], "difficulty", DIFFICULTIES)
        return Goalpost(
            id=self.text(record["id"], "id"),
            statement=self.text(record["statement"], "statement"),
            signature=signature,
            inputs=tuple(arguments for arguments, _ in pairs),
            outputs=tuple(output for _, output in pairs),
            shown=self.integer(record["shown"], "shown", 0, len(pairs)),
            reference=None if reference is None else self.text(reference, "reference"),
            evidence=tuple(
                self._evidence(item, f"evidence[{index}]")
                for index, item in enumerate(self.items(record["evidence"], "evidence"))
            ),
            tags=tuple(
                self.text(tag, f"tags[{index}]")
                for index, tag in enumerate(self.items(record["tags"], "tags"))
            ),
            difficulty=difficulty,
            entry=entry,
            rule=rule,
            prelude=self._prelude(record["prelude"]),
        )

    def _entry(self, value: Any) -> str:
        names = value.split(".") if type(value) is str and value else []
        right = value == "" or (0 < len(names) < 3 and all(map(_is_name, names)))
        if not right:
            self.refuse(
                "entry",
                "the name of a function, Class.method, or nothing for a whole program",
                value,
                "write what the tests call, without parentheses",
            )
        return str(value)

    def _prelude(self, value: Any) -> str:
        text = self.text(value, "prelude", empty=True)
        if _parsed(text) is None:
            self.refuse("prelude", "a Python program", text, "write imports and definitions, or leave it out")
        return text

    def _rule(self, value: Any) -> Rule:
        for rule in RULES:
            if value == rule:
                return rule
        self.refuse(
            "rule",
            "one of " + ", ".join(RULES),
            value,
            "see gasp_env.domains.python.judge for what they mean",
        )

    def _signature(self, value: Any, entry: str) -> str:
        if not entry and value != "":
            self.refuse(
                "signature",
                "an empty text, because the entry is empty",
                value,
                "leave it empty, or name the entry",
            )
        return value if value == "" and (not entry or "." in entry) else self.text(value, "signature")

    def _test(
        self, test: Any, field: str, arity: tuple[int, float], entry: str, rule: Rule
    ) -> tuple[Arguments, Any]:
        record = self.fields(test, field, ("input", "output"), {})
        if not entry:
            given = self._stream(record["input"], f"{field}.input", wire.MAX_STDIN)
            return (given,), self._stream(record["output"], f"{field}.output", answers.OUTPUT_BYTES)
        if rule == "exact":
            arguments = self.literal(record["input"], f"{field}.input", values.parse_arguments)
            output = self.literal(record["output"], f"{field}.output", values.parse_literal)
        else:
            listed = self.items(record["input"], f"{field}.input")
            arguments = tuple(self._bounded(listed, f"{field}.input", MAX_ARGUMENTS))
            output = self._bounded(record["output"], f"{field}.output", answers.OUTPUT_BYTES)
        least, most = arity
        if not least <= len(arguments) <= most:
            wanted = (
                str(least)
                if least == most
                else f"{least} to {most}"
                if most != _UNBOUNDED
                else f"{least} or more"
            )
            self.refuse(
                f"{field}.input",
                f"{wanted} argument(s), as the signature takes",
                record["input"],
                "write the arguments as between the parentheses of a call; a list alone is one argument: '[1, 2]'",
            )
        return arguments, output

    def _stream(self, value: Any, field: str, most: int) -> str:
        """Check a text of standard input or output, which may be empty."""
        if type(value) is not str:
            self.refuse(field, "a text", value, "write the text itself, as the program reads or prints it")
        size = len(self.utf8(value, field))
        if size > most:
            self.refuse(field, f"at most {most} bytes", f"{size} bytes", "leave the test out")
        return value

    def _bounded(self, value: Any, field: str, most: int) -> Any:
        try:
            values.encode(value, max_bytes=most)
        except values.Unserializable as error:
            self.refuse(field, "a JSON value within bounds", value, f"leave the test out: {error}")
        return value

    def _evidence(self, item: Any, field: str) -> Evidence:
        record = self.fields(item, field, ("model", "samples", "correct"), {})
        samples = self.integer(record["samples"], f"{field}.samples", 1, None)
        correct = self.integer(record["correct"], f"{field}.correct", 0, samples)
        return Evidence(self.text(record["model"], f"{field}.model"), samples, correct)

    def _arity(self, signature: str, entry: str) -> tuple[int, float]:
        """Least and most positional arguments of the entry."""
        if not signature:
            return 0, _UNBOUNDED
        owner, dot, name = entry.rpartition(".")
        fix = f"write one line such as 'def {name}(nums: list[int]) -> int'"
        if dot:
            fix = f"write 'class {owner}:' and in it the header 'def {name}(self, ...):', or nothing"
        body = _parsed(signature.rstrip().removesuffix(":") + ": pass") or (
            _parsed(signature) if dot else None
        )
        if body is None:
            self.refuse("signature", "starter code" if dot else "a function header", signature, fix)
        if dot:
            body = [
                node
                for item in body
                if isinstance(item, ast.ClassDef) and item.name == owner
                for node in item.body
                if isinstance(node, ast.FunctionDef) and node.name == name
            ]
        functions = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
        if len(body) != 1 or len(functions) != 1 or (not dot and "\n" in signature):
            self.refuse(
                "signature",
                f"a class {owner} with {name}" if dot else f"one line that defines {name}",
                signature,
                fix,
            )
        takes = functions[0].args
        if takes.kwonlyargs:
            self.refuse("signature", "positional parameters only", signature, fix)
        most = len(takes.posonlyargs) + len(takes.args) - bool(dot)
        return most - len(takes.defaults), _UNBOUNDED if takes.vararg else most


def _parsed(source: str) -> list[ast.stmt] | None:
    """Statements of a source text, None if it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in the text
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


_UNBOUNDED = float("inf")
