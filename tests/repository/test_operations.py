"""docs/operations.md knows every kind of problem that somebody can be told of."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from insightmart.runs import ProblemKind
from insightmart.settings import PROJECT
from insightmart.status.problem import problem_key
from insightmart.status.problems import _BESIDE

PAGE = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
ON_CALL = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in PAGE.split("\n## On call\n", 1)[1].splitlines()
    if line.startswith("| `")
]
# Kinds that are no constants where a problem is made: what a run met is told as that; what is late without a source.
NAMED_ELSEWHERE = {
    "str(problem.kind)": set(map(str, _BESIDE)),
    "str(notice.kind)": {"cost", "over budget"},
    "kind": {"late", "not certified yet"},
}


def kinds_in(file: Path) -> set[str]:
    """The kinds of all problems that a module makes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem" and node.args:
            said = {
                value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant) and (value := str(one.value))
            }
            found |= said or NAMED_ELSEWHERE[ast.unparse(node.args[0])]
    return found


def test_on_call_has_every_kind_of_problem_with_a_command() -> None:
    made = {kind for file in (PROJECT / "insightmart").rglob("*.py") for kind in kinds_in(file)}
    assert {row[0].strip("`") for row in ON_CALL} == made
    assert [row for row in ON_CALL if not row[3].startswith("`insightmart ")] == []
    assert len({problem_key(row[0]) for row in ON_CALL}) == len(ON_CALL) > 10


def test_on_call_has_every_kind_of_a_run_s_problems() -> None:
    named = {kind for row in ON_CALL for kind in re.findall(r"`([a-z ]+)`", row[1])}
    assert named | {"promotion"} == {str(kind) for kind in ProblemKind}
    assert "`promotion` in `ops.run_problems`" in PAGE


def test_every_section_that_is_named_is_there() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"(?m)^##+ (.+)$", PAGE)
    }
    named = set(re.findall(r"\]\(#([a-z0-9-]+)\)", PAGE))
    assert named - headings == set()
    assert headings - named == set()
