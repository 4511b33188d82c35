"""A digest of the code that a result comes from, for cache keys: of the code itself, not of the files it lies in.

From the objects named it follows every name that they use, through this package's own imports, to functions, classes
and constants. Where those stand does not matter: import statements are left out, and so is the name of a module before
a dot. Comments, docstrings and layout do not matter either. Methods of an object that comes in as an argument cannot
be found like that: name its class too.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from importlib import import_module
from importlib.util import find_spec, resolve_name
from typing import NamedTuple, TypeAlias


class _Place(NamedTuple):
    """Where a name is defined; ``name`` None: the module itself."""

    module: str
    name: str | None


def source_digest(*objects: Callable[..., object]) -> str:
    """Digest of functions and classes and of all that they use in their package.

    Parameters
    ----------
    *objects
        Functions or classes at the top level of a module. Their order does not matter.

    Returns
    -------
    str
        Hexadecimal; changes with any statement that is reached, and with none that is not.
    """
    return _digest(frozenset(_Place(definition.__module__, definition.__qualname__) for definition in objects))


@cache
def _digest(roots: frozenset[_Place]) -> str:
    waiting, reached, statements = list(roots), set[_Place](), set[str]()
    while waiting:
        place = waiting.pop()
        if place in reached or place.name is None:
            continue
        reached.add(place)
        for node in _source(place.module).definitions.get(place.name, ()):
            plain = _Plain(place.module)
            statements.add(ast.unparse(plain.visit(deepcopy(node))))
            waiting += plain.uses
    return hashlib.sha256("\n".join(sorted(statements)).encode()).hexdigest()


class _Source(NamedTuple):
    """A module's top-level statements by the names that they bind, and what its imports stand for."""

    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, _Place]


Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@cache
def _source(module: str) -> _Source:
    tree = ast.parse(_text(module))
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _bound(statement):
            definitions.setdefault(name, []).append(statement)
    spec = find_spec(module)
    is_package = spec is not None and spec.submodule_search_locations is not None
    package = module if is_package else module.rpartition(".")[0]
    imports: dict[str, _Place] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            if origin.partition(".")[0] == module.partition(".")[0]:
                imports |= {alias.asname or alias.name: _Place(origin, alias.name) for alias in node.names}
    return _Source(definitions, imports)


def _text(module: str) -> str:
    return inspect.getsource(import_module(module))


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, Definition):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return []
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _found(module: str, name: str) -> _Place | None:
    """Where a name that a module uses is defined; None for what the package does not define."""
    source = _source(module)
    if name in source.definitions:
        return _Place(module, name)
    if name not in source.imports:
        return None
    origin, original = source.imports[name]
    assert original is not None
    if _is_module(f"{origin}.{original}"):
        return _Place(f"{origin}.{original}", None)
    return _found(origin, original)


@cache
def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # what stands before the last dot is no package
        return False


class _Plain(ast.NodeTransformer):
    """Takes imports, docstrings and modules' names out of a definition; collects what it ``uses``.

    Annotations are kept as they are and not followed: no number comes from them.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self.uses: list[_Place] = []

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Note where it is defined."""
        if place := _found(self._module, node.id):
            self.uses.append(place)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """``module.name`` is ``name``."""
        if isinstance(node.value, ast.Name):
            place = _found(self._module, node.value.id)
            if place and place.name is None:
                if used := _found(place.module, node.attr):
                    self.uses.append(used)
                return ast.Name(node.attr, node.ctx)
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        """Leave it out."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Leave it out."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Not its annotation."""
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Its value alone."""
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Without its docstring; what it returns is only annotated."""
        returns, node.returns = node.returns, None
        plain = self._definition(node)
        node.returns = returns
        return plain

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Without its docstring."""
        return self._definition(node)

    def _definition(self, node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node
