"""Tables and trees on standard output: drawn on a terminal, aligned text in a pipe.

Cells may hold anything a source sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

WIDE = 2_000  # characters of a line of a tree in a pipe
_BUILT = re.compile(r"(?:\w+__)?\w+\.(\w+?)__(.+?)__\d+(__dev)?")  # a version of a model, as SQLMesh calls its table
_FORMULA = re.compile(r"^\s*[=+\-@]")  # what spreadsheets evaluate when a cell begins with it


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> None:
    """Print a table.

    Args:
        title: what the table holds.
        columns: headers; one that ends in ``>`` is aligned to the right.
        rows: cells of any type; texts are taken as untrusted.
        note: a line below the table, for example that rows were left out.
    """
    names = [column.removesuffix(">") for column in columns]
    right = [column.endswith(">") for column in columns]
    cells = [[shown(cell) for cell in row] for row in rows]
    console = Console()
    if console.is_terminal:
        table = Table(title=title or None, title_justify="left")
        for name, to_the_right in zip(names, right, strict=True):
            table.add_column(name, justify="right" if to_the_right else "left", overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
    else:
        if title:
            click.echo(title)
        for line in _aligned([names, *cells], right):
            click.echo(line)
    if note:
        click.echo(note)


def print_tree(tree: Tree) -> None:
    """Print a tree, whose labels are ``Text`` so that nothing in them is markup."""
    console = Console()
    if not console.is_terminal:  # in a pipe a line is a line, however long
        console = Console(width=WIDE)
    console.print(tree)


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(right))]
    return [
        "  ".join(
            cell.rjust(width) if to_the_right else cell.ljust(width)
            for cell, width, to_the_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def shown(value: Any) -> str:
    """A value as text for people: numbers with thousands separators, instants to the second, texts made harmless."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | Decimal):
        return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    return without_formula(without_control(str(value)))


def spoken_table(name: str) -> str:
    """A table as people call it: ``core.fct_orders__oltp`` for any version of it that SQLMesh has built."""
    plain = name.replace('"', "")
    built = _BUILT.fullmatch(plain)
    return (f"{built[1]}.{built[2]}" if built else plain).lower()


def without_control(text: str) -> str:
    """The text with control and invisible formatting characters spelled out, so that no terminal obeys them."""
    return "".join(
        character
        if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def without_formula(text: str) -> str:
    """The text with a leading apostrophe where a spreadsheet would take it for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text
