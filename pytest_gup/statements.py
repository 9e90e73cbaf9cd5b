"""The statements of a Python file that run when it is used, not when it is imported.

A `def`, a class body or a constant runs on import, whatever the rules exercise; so what
counts is what stands in functions. A statement over several lines counts as its first.

Interface:
  * `statements_of(path)` maps each line of the bodies of functions that can run to the
    first line of its statement.
"""

import ast
import inspect
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def statements_of(path: Path) -> dict[int, int]:
    """Return the first line of the statement, for each line that can run.

    Raises:
        OSError: the file cannot be read.
        SyntaxError: it is no Python.
    """
    tree = ast.parse(path.read_bytes())
    first: dict[int, int] = {}
    for function in ast.walk(tree):
        if isinstance(function, FUNCTION):
            _note(function.body, first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever imports the file has seen them
        code = compile(tree, path, "exec", dont_inherit=True)
    can_run = set(_lines(code))
    return {line: begin for line, begin in first.items() if line in can_run}


def _note(parts: Iterable[ast.AST], first: dict[int, int]) -> None:
    """Note the first line of each statement, and of each part that has a head."""
    for part in parts:
        begin, end = _range(part)
        first.update(dict.fromkeys(range(begin, end + 1), begin))
        # What is in a block is noted after the block: what is left is its head.
        for name in ("body", "handlers", "cases", "orelse", "finalbody"):
            _note(getattr(part, name, ()), first)


def _range(part: ast.AST) -> tuple[int, int]:
    if isinstance(part, ast.match_case):
        return part.pattern.lineno, part.body[-1].end_lineno or part.pattern.lineno
    assert isinstance(part, (ast.stmt, ast.ExceptHandler))
    decorators: list[ast.expr] = getattr(part, "decorator_list", [])
    begin = min(each.lineno for each in (part, *decorators))
    return begin, part.end_lineno or begin


def _lines(code: CodeType, *, is_inside: bool = False) -> Iterator[int]:
    """Yield the lines that the code of functions may run."""
    if is_inside:
        yield from (line for _, _, line in code.co_lines() if line)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _lines(inner, is_inside=is_inside or _is_function(inner))


def _is_function(code: CodeType) -> bool:
    """Tell a function from a class body, and from a comprehension run on import."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and code.co_name[0] != "<"
