"""The corpus: every statement that two days of cycles send to Snowflake, once, in files beside this module.

There is a file for each layer of models and for each package of ours. The tests record it from whole cycles and hold it
against what they send (tests/insightmart/commands/test_cycle.py). What differs each time is the same in all of them:
bound values are NULL, instants and dates 2026-01-01, ids of loads and versions of physical tables 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

from sqlglot.dialects.snowflake import Snowflake
from sqlglot.tokenizer_core import TokenType

from ingestion.warehouse import DATABASE

CORPUS = Path(__file__).with_name("statements")
ANY_DAY = "2026-01-01"
VERSION = re.compile(r"(?<=__)\d{4,}")  # of a physical table, in its name

_PLANNED = frozenset({"SELECT", "WITH", "INSERT", "DELETE", "UPDATE", "MERGE"})
_NO_KIND = frozenset({"OR", "REPLACE", "TRANSIENT"})
_WITH_AN_OBJECT = frozenset({"CREATE", "ALTER", "DROP"})
_NAME = rf'(?:"?{DATABASE}"?\.)?"?(?P<schema>\w+)"?\."?(?P<table>\w+)"?(?!\w)'
_QUALIFIED = re.compile(rf'(?<![\w."]){_NAME}', re.I)
_TEXT = re.compile(r"'(?:[^'\\]|''|\\.)*'", re.S)
_CREATED = re.compile(
    rf"CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMPORARY\s+|TRANSIENT\s+)?(?:TABLE|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}",
    re.I,
)


@dataclass(frozen=True)
class CorpusStatement:
    """A statement of the corpus.

    Attributes:
        origin: the model or module that sends it.
        text: of the statement.
    """

    origin: str
    text: str

    @cached_property
    def kind(self) -> str:
        """What it is, by its first words: ``SELECT``, ``CREATE TABLE``, ``CREATE TEMPORARY VIEW``."""
        words = [word for word in self.text.lstrip("( ").upper().split(maxsplit=6) if word not in _NO_KIND]
        if words[0] not in _WITH_AN_OBJECT:
            return words[0]
        return " ".join(words[: 3 if words[1] == "TEMPORARY" else 2])

    @cached_property
    def creates(self) -> tuple[str, ...]:
        """The tables or views that it creates, as ``SCHEMA.TABLE`` in upper case; dlt creates several at once."""
        made = _CREATED.finditer(_TEXT.sub("''", self.text)) if self.kind.startswith("CREATE ") else ()
        return tuple(f"{one['schema']}.{one['table']}".upper() for one in made)

    @cached_property
    def explainable(self) -> str | None:
        """What of it Snowflake can EXPLAIN: a query, a change of rows, the query of a view; None: nothing."""
        if self.kind in _PLANNED:
            return self.text
        return _query_of(self.text) if self.kind.endswith(" VIEW") and self.creates else None


def read_corpus(folder: Path | None = None) -> list[CorpusStatement]:
    """The statements of a corpus, in its order.

    Args:
        folder: with its files; None: the pipeline's own.
    """
    found = []
    for file in sorted((folder or CORPUS).glob("*.sql")):
        for entry in file.read_text(encoding="utf-8").split(";\n\n"):
            origin, _, text = entry.strip().partition("\n")
            if text:
                found.append(CorpusStatement(origin.removeprefix("-- "), text))
    return found


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A statement with other tables.

    Args:
        text: the statement.
        names: ``SCHEMA.TABLE`` in upper case -> the name that takes its place.
    """
    return _QUALIFIED.sub(lambda found: names.get(f"{found[1]}.{found[2]}".upper(), found[0]), text)


def uses(text: str, names: Iterable[str]) -> set[str]:
    """Which of the tables, ``SCHEMA.TABLE`` in upper case, a statement names."""
    named = _QUALIFIED.findall(_TEXT.sub("''", text))  # a comment speaks of other tables
    return {f"{schema}.{table}".upper() for schema, table in named} & set(names)


def in_order(corpus: Iterable[CorpusStatement]) -> list[CorpusStatement]:
    """What creates tables and views, so that each comes after what it reads; what replaces one after what made it."""
    makers: dict[str, list[CorpusStatement]] = {}
    for statement in corpus:
        if statement.creates:
            makers.setdefault(statement.creates[0], []).append(statement)
    reads = {
        name: set().union(*(uses(one.text, makers) for one in statements)) - {name}
        for name, statements in makers.items()
    }
    return [
        one
        for name in TopologicalSorter(reads).static_order()
        for one in sorted(makers[name], key=lambda one: " OR REPLACE " in one.text)
    ]


def _query_of(text: str) -> str | None:
    """The query that a view is made of: what follows AS outside of all brackets."""
    tokens, depth = Snowflake().tokenize(text), 0
    for token, following in pairwise(tokens):
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if depth == 0 and token.token_type == TokenType.ALIAS:
            return text[following.start :]
    return None
