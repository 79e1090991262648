"""Record the arguments and expected values of a test written as code, by running it around a solution.

A check is a function of the solution, full of asserts. It is rewritten so that it notes the arguments of each call and
the value each answer is compared with; both come back from the sandbox. Only a check whose asserts compare an answer
with a value can be replaced by such pairs. A check with a tolerance, or of a property, accepts other answers as well.
"""

from __future__ import annotations

import ast
import warnings
from typing import Any

from gasp_env import values
from gasp_env.records import Record

#: The function that a program made by `program` is called by, without arguments; it returns `Notes` as a pair.
ENTRY = "gasp_record_"

_NOTE = "gasp_note_"
_CHECK = "gasp_check_"
_HEAD = f"""

gasp_asked_, gasp_expected_ = [], []

def {_NOTE}(how, value):
    import copy
    gasp_expected_.append((how, copy.deepcopy(value)))
    return value

"""
_TAIL = f"""

def {ENTRY}():
    import copy, random
    def candidate(*arguments):
        gasp_asked_.append(copy.deepcopy(arguments))
        return {{entry}}(*arguments)
    random.seed(0)
    gasp_check_(candidate)
    return gasp_asked_, gasp_expected_
"""
#: The fix for a check that cannot be replaced.
FIX = "judge such a problem by its own check; it has no exact answer"


def program(reader: Record, field: str, solution: str, tests: str, entry: str) -> str:
    """Make a program that runs a check around a solution and returns the recorded arguments and expected values.

    Args:
        reader: raises the errors.
        field: the name of the tests in errors.
        solution: a program that defines ``entry``.
        tests: a program that defines the function ``check`` of one argument.
        entry: the function that is checked.

    Raises:
        GoalpostError: the tests do not define one check, or accept more than one answer.
    """
    tree = ast.Module(parsed(reader, field, tests), [])
    checks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if len(checks) != 1 or len(checks[0].args.args) != 1:
        reader.refuse(field, "one function check(candidate)", tests, "take the records as they are published")
    noted = _Noted(reader, field, checks[0].args.args[0].arg)
    try:
        checks[0].body[:] = map(noted.visit, checks[0].body)
        checks[0].name = _CHECK  # the solution may define a check of its own
        text = ast.unparse(ast.fix_missing_locations(tree))
    except RecursionError:
        reader.refuse(field, "a program that is not nested so deeply", tests, FIX)
    return solution + _HEAD + text + _TAIL.format(entry=entry)


def parsed(reader: Record, field: str, source: str) -> list[ast.stmt]:
    """Parse a program in a record.

    Raises:
        GoalpostError: it is not a Python program.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in the record's text
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reader.refuse(field, f"a Python program ({error})", source, "take the records as they are published")


def agrees(how: str, expected: Any, output: Any) -> bool:
    """True if an output equals the value that an assert expects; the check noted ``how`` it compares."""
    if how in ("tuple", "list"):
        return type(output) in (tuple, list) and values.equal(list(expected), list(output))
    return values.equal(expected, output)


class _Noted(ast.NodeTransformer):
    """Rewrites asserts, and refuses any other use of the solution."""

    def __init__(self, reader: Record, field: str, candidate: str) -> None:
        self._reader = reader
        self._field = field
        self._candidate = candidate
        self._statement: ast.stmt = ast.Pass()

    def visit(self, node: ast.AST) -> Any:
        """Visit as the base class does, and remember the current statement."""
        if isinstance(node, ast.stmt):
            self._statement = node
        return super().visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        """``assert candidate(x) == y`` becomes ``assert candidate(x) == gasp_note_('value', y)``, and so on."""
        if not self._names(node):
            return node
        noted = self._noted(node.test)
        if noted is None:
            expected = "asserts that compare what the solution returns with a value, exactly"
            self._reader.refuse(self._field, expected, ast.unparse(node), FIX)
        return ast.Assert(noted, node.msg)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Refuse the name of the solution anywhere else."""
        if node.id == self._candidate:
            came = ast.unparse(self._statement)
            self._reader.refuse(self._field, "the solution called in asserts alone", came, FIX)
        return node

    def _noted(self, test: ast.expr) -> ast.expr | None:
        """The rewritten condition, None if it accepts more than one answer."""
        if self._is_call(test):
            return ast.BoolOp(ast.And(), [test, _note("value", ast.Constant(True))])
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and self._is_call(test.operand):
            return ast.BoolOp(ast.And(), [test, ast.UnaryOp(ast.Not(), _note("value", ast.Constant(False)))])
        if not (
            isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is)
        ):
            return None
        left, right = test.left, test.comparators[0]
        how = self._how(left)
        if how and not self._names(right):
            return ast.Compare(left, test.ops, [_note(how, right)])
        how = self._how(right)
        if how and not self._names(left):
            return ast.Compare(_note(how, left), test.ops, [right])
        return None

    def _how(self, side: ast.expr) -> str | None:
        """Form in which a side of a comparison uses the answer, None if it is not one we know."""
        if self._is_call(side):
            return "value"
        # The solution itself shows which of the two sequence types it returns; the items are compared all the same.
        if (
            isinstance(side, ast.Call)
            and isinstance(side.func, ast.Name)
            and side.func.id in ("tuple", "list")
            and len(side.args) == 1
            and not side.keywords
            and self._is_call(side.args[0])
        ):
            return side.func.id
        return None

    def _is_call(self, node: ast.expr) -> bool:
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == self._candidate
            and not node.keywords
            and not any(map(self._names, node.args))
        )

    def _names(self, node: ast.AST) -> bool:
        return any(isinstance(child, ast.Name) and child.id == self._candidate for child in ast.walk(node))


def _note(how: str, value: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(_NOTE, ast.Load()), [ast.Constant(how), value], [])
