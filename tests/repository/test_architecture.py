"""docs/architecture.md and the tree say the same: which rooms there are, what is in them, who may import whom."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from insightmart.settings import PROJECT

PACKAGES = ("ingestion", "insightmart", "sandbox")
PAGE = PROJECT / "docs" / "architecture.md"
LONGEST = 400  # lines of a file, unless the page gives the reason


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def rooms_on_the_page() -> dict[str, tuple[set[str], set[str]]]:
    """Room -> its modules, and the other rooms that it may import, from the tables of the page."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page().splitlines() if line.startswith("| `")]
    rooms = [row for row in rows if len(row) == 3 and row[0].strip("`").split(".")[0] in PACKAGES]
    return {room.strip("`"): (names_in(inside), names_in(others)) for room, inside, others in rooms}


def names_in(cell: str) -> set[str]:
    return set(re.findall(r"`([\w.]+)`", cell))


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name; a package's own is its ``__init__``."""
    found = {}
    for package in PACKAGES:
        for path in (PROJECT / package).rglob("*.py"):
            name = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def room_of(module: str) -> str:
    """The room that a module is in: its package."""
    is_room = modules()[module].name == "__init__.py"
    return module if is_room else module.rpartition(".")[0]


@cache
def imports_of(module: str) -> frozenset[str]:
    """Modules of ours that a module imports, at its head or inside functions; not what only type checkers read."""
    known = modules()
    found = set()
    for node in _run_at_all(ast.parse(known[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in inner}
    return frozenset(name for name in found if name in known and name != module)


def _run_at_all(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _run_at_all(node)


def test_the_page_names_every_room_and_every_module() -> None:
    tree: dict[str, set[str]] = {}
    for name, path in modules().items():
        own = tree.setdefault(room_of(name), set())
        if path.name != "__init__.py":
            own.add(path.stem)
    assert {room: named for room, (named, _) in rooms_on_the_page().items()} == tree


def test_a_room_imports_what_the_page_allows_and_nothing_else() -> None:
    allowed = {room: others for room, (_, others) in rooms_on_the_page().items()}
    trespasses = {
        f"{module} -> {other}"
        for module in modules()
        for other in imports_of(module)
        if room_of(other) not in {room_of(module), *allowed[room_of(module)]}
    }
    assert trespasses == set()


def test_what_the_page_allows_is_used() -> None:
    used = {(room_of(module), room_of(other)) for module in modules() for other in imports_of(module)}
    unused = {
        f"{room} -> {other}"
        for room, (_, others) in rooms_on_the_page().items()
        for other in others
        if (room, other) not in used
    }
    assert unused == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: imports_of(module) for module in modules()}
    circles = []
    done: set[str] = set()

    def follow(module: str, trail: tuple[str, ...]) -> None:
        if module in trail:
            circles.append(" -> ".join((*trail[trail.index(module) :], module)))
        elif module not in done:
            for other in sorted(graph[module]):
                follow(other, (*trail, module))
            done.add(module)

    for module in graph:
        follow(module, ())
    assert circles == []


def test_no_file_is_longer_than_a_reader_can_hold_without_a_reason() -> None:
    excused = set(re.findall(r"(?m)^- `([\w./]+)`: \S", page().split("## Longer files", 1)[-1]))
    listed = subprocess.run(["git", "ls-files", "-z", "*.py"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    long = {
        name
        for name in listed.stdout.split("\0")
        if name and (PROJECT / name).exists() and len((PROJECT / name).read_bytes().splitlines()) > LONGEST
    }
    assert long == excused


def test_one_name_is_one_thing() -> None:
    """No two public classes of the same name, and no two modules but the siblings that the page names.

    A command is named as what it calls.
    """
    siblings = names_in(page().split("Siblings of one name:", 1)[1].split("\n\n", 1)[0])
    places: dict[str, list[str]] = {}
    for name, path in modules().items():
        if name.split(".")[0] == "sandbox":
            continue
        if path.name != "__init__.py" and room_of(name) != "insightmart.commands":
            places.setdefault(f"module {path.stem}", []).append(name)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(f"class {node.name}", []).append(name)
    twins = {what: where for what, where in places.items() if len(where) > 1 and what.split()[1] not in siblings}
    assert twins == {}
