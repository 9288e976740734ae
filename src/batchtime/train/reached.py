"""What a function reaches in its own module, so that runs of other code are not taken for its runs."""

import ast
import hashlib
from collections.abc import Iterator

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def checksum(source: str, name: str) -> str:
    """Return the SHA-256 of what a function reaches in its module: comments, formatting and docstrings do not count.

    It reaches what it names, what that names, and so on: functions, classes, constants and imports of the module. Code
    of other modules counts by its name alone, and statements that define no name always count.

    Args:
        source: Of the module.
        name: Of the function.

    Example:
        >>> one = checksum("def f(): return 1 # one", "f")
        >>> one == checksum("def f(): return  1", "f"), one == checksum("def f(): return 2", "f")
        (True, False)
    """
    statements = ast.parse(source).body
    naming: dict[str, list[int]] = {}
    for place, statement in enumerate(statements):
        for defined in _defined(statement):
            naming.setdefault(defined, []).append(place)
    reached = {place for place, statement in enumerate(statements) if not any(True for _ in _defined(statement))}
    waiting = [*reached, *naming.get(name, ())]
    while waiting:
        place = waiting.pop()
        reached.add(place)
        for used in _used(statements[place]):
            waiting += [other for other in naming.get(used, ()) if other not in reached]
    text = "\n".join(ast.dump(_without_docstrings(statements[place])) for place in sorted(reached))
    return hashlib.sha256(text.encode()).hexdigest()


def _defined(statement: ast.stmt) -> Iterator[str]:
    """Return the names that a statement of a module gives a value."""
    if isinstance(statement, _Definition):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        yield from (node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and _stored(node))


def _stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _used(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    for node in ast.walk(statement):
        if isinstance(node, _Definition) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return statement
