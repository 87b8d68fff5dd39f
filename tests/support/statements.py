"""What a fake account was sent: how much in which phase of a cycle, and every statement once, as a corpus."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from insightmart.commands import cycle
from insightmart.smoke.corpus import read_corpus
from insightmart.snowflake_sessions import close_waiting
from tests.support.fakesnow_session import single_statements

# The functions of a cycle that are its phases; what they send does not overlap.
PHASES = {"load": "_load", "corrections": "apply_corrections", "reconcile": "_reconcile", "report": "_report"}

# What an hour with one late correction sends; without it, that less the corrections.
SENT = {"load": 147, "corrections": 102, "models": 249, "reconcile": 35, "report": 35, "tables and record": 32}
CONNECTIONS = 15
# How the corpus is recorded again.
RECORD = (
    "record the corpus again: SNOWFLAKE_CORPUS=insightmart/smoke/statements .venv/bin/pytest"
    " tests/insightmart/commands/test_cycle.py -k both_engines"
)
# Statements that are right by Snowflake's documentation.
NOT_KNOWN_TO_SQLFLUFF = ("PUT ", "ALTER VIEW ", "CREATE OR REPLACE TRANSIENT SCHEMA ")

_SAME_EACH_TIME = (
    (re.compile(r"\s*/\*.*?\*/\s*", re.S), " "),  # an apostrophe in a comment begins no text
    (re.compile(r"(?:^|(?<=\s))--[^\n]*$", re.M), ""),  # a comment would swallow what stands in one line with it
    (re.compile(r"\bTIMESTAMPNTZ\b"), "TIMESTAMP_NTZ"),  # sqlglot's spelling, which Snowflake takes as well
    (re.compile(r"%s"), "?"),
    (re.compile(r"('(?:[^']|'')*')|\?"), lambda found: found[1] or "NULL"),  # what is bound
    (re.compile(r"file://[^']*"), "file:///tmp/file.parquet"),
    (re.compile(r"'\d{4}-\d\d-\d\d([ T][\d:.]+(\+00:00)?)?'"), "'2026-01-01'"),
    (re.compile(r"(?<=\.)[0-9a-f]{10}(?=\.\d+\.parquet)"), "a"),  # names of files: one in a hundred has digits alone
    (re.compile(r"\b\d{10}\.\d+(\.[0-9a-f]+)?"), "1"),  # ids of loads
    (re.compile(r"(?<=__)\d{4,}"), "1"),  # versions of physical tables
    (re.compile(r"\b(?=\d*[a-f])[0-9a-f]{12,}\b"), "a"),  # not a number
    (re.compile(r"\s+"), " "),
    # SQLMesh lists what it asks for in any order
    (re.compile(r"(?<=IN \()'[^']*'(?:, '[^']*')+(?=\))"), lambda found: ", ".join(sorted(found[0].split(", ")))),
)


@contextmanager
def counted_by_phase(sent: list[str]) -> Iterator[Counter[str]]:
    """How many statements each phase of the cycles inside sends; ``models`` is what is left of their second step.

    Sessions that wait from before are closed first: a cycle is a process of its own.
    """
    counts: Counter[str] = Counter()
    close_waiting()

    def counted(phase: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any, **named: Any) -> Any:
            before = len(sent)
            try:
                return run(*arguments, **named)
            finally:
                counts[phase] += len(sent) - before

        return noting

    before = len(sent)
    with pytest.MonkeyPatch.context() as during:
        for phase, name in {**PHASES, "build": "_build"}.items():
            during.setattr(cycle, name, counted(phase, getattr(cycle, name)))
        yield counts
    counts["models"] = counts.pop("build", 0) - counts["corrections"]
    counts["tables and record"] = len(sent) - before - counts.total()


def corpus(sent: list[str], origins: list[str]) -> dict[str, str]:
    """Every statement once, without what differs each time -> the model or module that sent it first."""
    found: dict[str, str] = {}
    for command, origin in zip(sent, origins, strict=True):
        for pattern, replacement in _SAME_EACH_TIME:
            command = pattern.sub(replacement, command)
        for statement in single_statements(command) if ";" in command else [command.strip()]:
            found.setdefault(statement, origin)  # dlt sends several at once, in any order
    return found


def keep_corpus(statements: Mapping[str, str], folder: Path) -> None:
    """Write a corpus: a file for each layer or package of ours, each statement below its origin, in order."""
    for file in folder.glob("*.sql"):
        file.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for statement, origin in sorted(statements.items()):
        with (folder / f"{origin.partition('.')[0]}.sql").open("a", encoding="utf-8") as file:
            file.write(f"-- {origin}\n{statement};\n\n")


def as_the_corpus_says(sent: list[str], origins: list[str]) -> dict[str, str]:
    """Hold what was sent against the corpus in the repository, or record it where ``SNOWFLAKE_CORPUS`` says.

    Returns:
        What is to be parsed: all that is recorded; else not what sqlglot writes for models, which takes minutes.
    """
    once = corpus(sent, origins)
    if place := os.environ.get("SNOWFLAKE_CORPUS"):
        keep_corpus(once, Path(place))
        return once
    unlike = _unlike_the_corpus(once)
    assert not unlike, f"{RECORD}\n{json.dumps(unlike, indent=2)}"
    return {statement: origin for statement, origin in once.items() if not of_a_model(origin)}


def _unlike_the_corpus(statements: Mapping[str, str]) -> dict[str, list[str]]:
    """New statements, and such that nobody sends any more, by where they come from."""
    kept = {one.text: one.origin for one in read_corpus()}
    found: dict[str, list[str]] = {}
    for kind, these, those in (("not in the corpus", statements, kept), ("no longer sent", kept, statements)):
        for statement in sorted(these.keys() - those.keys()):
            found.setdefault(f"{kind}: {these[statement]}", []).append(statement[:300])
    return found


def sent_as_promised(counts: Mapping[str, int], connections: Sequence[Mapping[str, Any]]) -> None:
    """Whether an hour with a correction sent what docs/performance.md says, by phase: also less is to be said there."""
    assert dict(counts) == SENT, dict(counts)
    assert len(connections) <= CONNECTIONS, Counter(str(sorted(one.items())) for one in connections)


def of_a_model(origin: str) -> bool:
    """Whether SQLMesh wrote a statement for a model: gates send what Soda writes."""
    return origin.partition(".")[0] in ("staging", "quarantine", "core", "certified", "ops", "sqlmesh")


def unparsable(statements: Mapping[str, str], cache: pytest.Cache) -> dict[str, str]:
    """Statements that sqlfluff does not know in Snowflake's dialect, with what they came from and what is wrong.

    Of those that differ in names and literals alone, one is parsed. What an earlier run of the tests has found right is
    not parsed again by the same sqlfluff.
    """
    fluff = pytest.importorskip("sqlfluff.core", reason="sqlfluff is not installed: `make setup`")
    options = {"dialect": "snowflake", "templater": "raw", "large_file_skip_byte_limit": 0}
    linter = fluff.Linter(config=fluff.FluffConfig(overrides=options))
    found = {}
    shapes = {re.sub(r"\"[^\"]*\"|'(?:[^']|'')*'|\d+", "x", statement): statement for statement in statements}
    kept = f"sqlfluff/{version('sqlfluff')}"
    known_right, right = set(cache.get(kept, [])), []
    for shape, statement in shapes.items():
        if not statement.startswith(NOT_KNOWN_TO_SQLFLUFF):
            name = hashlib.sha256(shape.encode()).hexdigest()
            violations = [] if name in known_right else linter.parse_string(statement).violations
            if violations:
                found[statement] = f"{statements[statement]}: {violations[0]}"
            else:
                right.append(name)
    cache.set(kept, right)
    return found
