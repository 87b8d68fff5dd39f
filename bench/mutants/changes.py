"""Where a text of SQL can be changed by one token, and into what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from sqlglot import tokenize
from sqlglot.tokenizer_core import Token, TokenType

SWAPS = {
    "comparison": (("<", "<="), (">", ">="), ("=", "<>")),
    "logic": (("AND", "OR"),),
    "aggregate": (("MIN", "MAX"), ("MIN_BY", "MAX_BY"), ("SUM", "MAX"), ("LEAD", "LAG"), ("LEAST", "GREATEST")),
    "join": (("INNER", "LEFT"),),
    "order": (("DESC", "ASC"), ("FIRST", "LAST")),
    "arithmetic": (("+", "-"), ("*", "+")),
    "truth": (("TRUE", "FALSE"),),
    "letters": (("UPPER", "LOWER"),),
}
ONE_WAY = {"SUM": "MAX", "*": "+"}  # MAX becomes MIN and + becomes -, not these
DROPPED = {"ALL": "union", "NOT": "negation", "DISTINCT": "distinct"}
AFTER_CONDITION = {
    *("AS", "AND", "OR", "GROUP", "ORDER", "QUALIFY", "WHERE", "UNION"),
    *("THEN", "ELSE", "END", "WHEN", "LEFT", "INNER", "CROSS"),
}
BEFORE_CONDITION = {"WHERE", "ON", "QUALIFY", "WHEN", "AND", "OR"}
TYPES = {"DECIMAL", "NUMBER"}
FILLED = "x"  # letters that stand for what Python fills into a macro's text
OTHER_TEXTS = {"HOUR": "DAY", "UTC": "Asia/Kolkata"}
DATE = re.compile(r"'(\d{4})-(\d\d)-(\d\d)")


@dataclass(frozen=True)
class Change:
    """One token, or one condition, of a file changed.

    Attributes:
        path: relative to the project.
        start: where in the file's text ``before`` begins.
        row: the line of the file as it was.
        whole_before: the query, condition or text that it is part of.
        whole_after: the same with the change.
    """

    path: Path
    kind: str
    line: int
    column: int
    start: int
    before: str
    after: str
    row: str
    whole_before: str
    whole_after: str

    def applied_to(self, text: str) -> str:
        """The file's text with the change."""
        return text[: self.start] + self.after + text[self.start + len(self.before) :]

    def __str__(self) -> str:
        before = " ".join(self.before.split())
        return (
            f"{self.path}:{self.line}:{self.column}  {self.kind}: {before} -> {self.after or 'nothing'}  in: {self.row}"
        )


def changes_of(project: Path) -> list[Change]:
    """Every change that can be made to the SQL of a project: queries, conditions of rules, and macros that make SQL."""
    found: list[Change] = []
    for path in sorted(project.glob("models/**/*.sql")):
        text = path.read_text(encoding="utf-8")
        query = query_of(text)
        found += _changes(path.relative_to(project), text, len(text) - len(query), query)
    for path in rule_files(project):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^ +when: (.+)$", text, re.MULTILINE):
            condition = match.group(1).strip()
            start = match.start(1)
            found += _changes(path.relative_to(project), text, start, condition)
            never = _change(path.relative_to(project), text, "condition", start, condition, "FALSE")
            found.append(replace(never, whole_before=condition, whole_after="FALSE"))
    for path in sorted(project.glob("macros/*.py")):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r'\bf"([^"]*)"', text):
            # What Python fills in stands for one name.
            sql = re.sub(r"{[^}]*}", lambda filled: FILLED * len(filled.group()), match.group(1))
            found += _changes(path.relative_to(project), text, match.start(1), sql)
    return found


def query_of(text: str) -> str:
    """What follows the properties in the file of a model, up to its end."""
    tokens = tokenize(text, read="snowflake")
    return text[next(token.end + 1 for token in tokens if token.token_type == TokenType.SEMICOLON) :]


def rule_files(project: Path) -> list[Path]:
    """The files that hold the conditions of rules."""
    return sorted(path for path in project.glob("*/**/rules.yml") if not path.parts[0].startswith("."))


def _changes(path: Path, text: str, offset: int, sql: str) -> Iterator[Change]:
    tokens = tokenize(sql, read="snowflake")

    def change(kind: str, first: Token, last: Token, after: str) -> Change:
        start = offset + first.start
        before = text[start : offset + last.end + 1]
        whole = text[offset : offset + len(sql)]
        changed = whole[: first.start] + after + whole[last.end + 1 :]
        return replace(_change(path, text, kind, start, before, after), whole_before=whole, whole_after=changed)

    for position, token in enumerate(tokens):
        word = _word(token)
        for kind, after in _replacements(tokens, position):
            yield change(kind, token, token, after)
        if word in BEFORE_CONDITION and not _ends_between(tokens, position):
            last = _end_of_condition(tokens, position + 1)
            if last > position + 1:  # at least a column and what is asked of it
                yield change("condition", tokens[position + 1], tokens[last], "TRUE" if word != "OR" else "FALSE")


def _change(path: Path, text: str, kind: str, start: int, before: str, after: str) -> Change:
    row = text.count("\n", 0, start)
    column = start - text.rfind("\n", 0, start)
    return Change(path, kind, row + 1, column, start, before, after, text.splitlines()[row].strip(), "", "")


def _word(token: Token) -> str:
    """The token in upper case; nothing for texts and quoted names, which could be spelled like a keyword."""
    return "" if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER) else token.text.upper()


def _replacements(tokens: list[Token], position: int) -> Iterator[tuple[str, str]]:
    token, word = tokens[position], _word(tokens[position])
    before = _word(tokens[position - 1]) if position else ""
    after = _word(tokens[position + 1]) if position + 1 < len(tokens) else ""
    if token.token_type == TokenType.NUMBER:
        # EXISTS(SELECT 1 ...) and COUNT(CASE WHEN ... THEN 1 END) do not look at the value.
        if before not in ("SELECT", "THEN") and not _of_a_type(tokens, position):
            number = Decimal(token.text)
            step = Decimal(1).scaleb(int(number.as_tuple().exponent))  # one in its last place
            yield "number", str(number + step)
            if before != "-" and number > 0:
                yield "number", str(number - step)
    elif token.token_type == TokenType.STRING:
        yield from _other_texts(token.text)
    elif word in DROPPED:
        if before != "IS":  # IS DISTINCT FROM
            yield DROPPED[word], ""
    elif word == "IS" and after == "NULL" and "NOT" not in map(_word, tokens[max(0, position - 8) : position]):
        yield "negation", "IS NOT"
    elif _swappable(tokens, position, before, after):
        for kind, pairs in SWAPS.items():
            for one, other in pairs:
                if word == one:
                    yield kind, other
                elif word == other and ONE_WAY.get(one) != other:
                    yield kind, one


def _swappable(tokens: list[Token], position: int, before: str, after: str) -> bool:
    word = _word(tokens[position])
    if word == "AND":
        return not _ends_between(tokens, position)
    if word == "*":  # all columns are no product
        return before not in ("SELECT", "(", ".") and after not in (",", "FROM", "EXCLUDE")
    if word in ("-", "+"):  # a sign
        return tokens[position - 1].token_type in (TokenType.VAR, TokenType.R_PAREN, TokenType.NUMBER)
    if word in ("FIRST", "LAST"):
        return before == "NULLS"
    if word in ("LEFT", "INNER"):
        return after == "JOIN"
    if word == "=":
        return before != ":"
    return True


def _of_a_type(tokens: list[Token], position: int) -> bool:
    """Whether a number is the size of a type: it decides what fits, not what a figure is."""
    return any(_word(token) in TYPES for token in tokens[max(0, position - 4) : position])


def _other_texts(text: str) -> Iterator[tuple[str, str]]:
    if text in OTHER_TEXTS:
        yield "text", f"'{OTHER_TEXTS[text]}'"
    elif match := DATE.match(f"'{text}"):
        year, month, day = match.groups()
        other = int(day) - 1 if int(day) > 1 else int(day) + 1
        yield "text", f"'{year}-{month}-{other:02d}'"
    elif text and set(text) != {FILLED}:
        yield "text", f"'{text}_'"
    elif not text:
        yield "text", "'_'"


def _ends_between(tokens: list[Token], position: int) -> bool:
    """Whether an AND is the one of BETWEEN x AND y."""
    if _word(tokens[position]) != "AND":
        return False
    depth = 0
    for token in reversed(tokens[:position]):
        word = _word(token)
        depth += (word == ")") - (word == "(")
        if depth < 0 or (depth == 0 and word in ("AND", "OR", "WHERE", "ON", "QUALIFY", "WHEN")):
            return False
        if depth == 0 and word == "BETWEEN":
            return True
    return False


def _end_of_condition(tokens: list[Token], first: int) -> int:
    """The position of the last token of the condition that begins at ``first``."""
    depth = 0
    for position in range(first, len(tokens)):
        word = _word(tokens[position])
        if depth == 0 and (
            word in (")", ",", ";") or (word.split(" ")[0] in AFTER_CONDITION and not _ends_between(tokens, position))
        ):
            return position - 1
        # A CASE within the condition has conditions of its own.
        depth += (word in ("(", "CASE")) - (word in (")", "END"))
    return len(tokens) - 1
