"""Templates of the page and the mails. Whatever a source or a file name put into a value stays text, escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from css_inline import CSSInliner
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from insightmart.certification.verdict import Verdict
from insightmart.console_tables import without_control
from insightmart.status.sales import Tills

log = structlog.get_logger()

TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "\N{EN DASH}"

# A verdict is never told by its colour alone: every badge has a mark and its words.
LEVELS = {
    Verdict.TRUSTED: "good",
    Verdict.CORRECTIONS: "note",
    Verdict.LATE: "warning",
    Verdict.MISSING: "warning",
    Verdict.HELD_BACK: "bad",
}
MARKS = {
    "good": "\N{CHECK MARK}",
    "note": "\N{CLOCKWISE OPEN CIRCLE ARROW}",
    "warning": "!",
    "bad": "\N{MULTIPLICATION X}",
}


def render(template: str, **values: Any) -> str:
    """A template of ``insightmart/templates`` with its values; HTML templates escape every value."""
    return _environment().get_template(template).render(**values)


def render_mail(name: str, **values: Any) -> tuple[str, str]:
    """A mail as plain text and as HTML that phones and old mail programs show alike: its styles stand in its tags.

    A value that a template cannot take leaves the mail shorter, and says so: who is on call hears of it all the same.
    """
    text = _or_less(f"{name}.txt.j2", values)
    html = _or_less(f"{name}.html.j2", values)
    if html is None:
        html = str(Markup("<!DOCTYPE html><html><body><pre>{}</pre></body></html>").format(text or _least(values)))
    return text or _least(values), _inliner().inline(html)


def _or_less(template: str, values: dict[str, Any]) -> str | None:
    try:
        return render(template, **values)
    except Exception as error:  # noqa: BLE001 whatever a value does to a template, the mail goes out
        log.warning("a mail says less than it should", template=template, error=f"{type(error).__name__}: {error}")
        return None


def _least(values: dict[str, Any]) -> str:
    """Without a template: the subject, and what is known of a problem, line by line."""
    lines = [str(values.get("subject", ""))]
    found = [values.get("problem"), *(values.get("problems") or ())]
    for problem in found:
        if problem is not None:
            lines += [without_control(str(getattr(problem, name, ""))) for name in ("title", "what", "action", "owner")]
    return "\n".join([*filter(None, lines), "", "The rest is unknown: it could not be put into words."])


@cache
def _inliner() -> CSSInliner:
    return CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        instant=instant,
        money=money,
        count=count,
        level=level,
        mark=mark,
        prose=prose,
        tills=tills,
        md_code=md_code,
        md_block=md_block,
    )
    return environment


def _harmless(value: Any) -> Any:
    """Control and invisible formatting characters spelled out, except in what the templates themselves wrote."""
    return without_control(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def instant(value: datetime | date | None) -> str:
    """An instant to the minute, or a date."""
    if value is None:
        return NOTHING
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else value.isoformat()


def money(value: Decimal | None) -> str:
    """An amount rounded to cents, for reading only."""
    if value is None:
        return NOTHING
    return f"{Decimal(value).quantize(Decimal('0.01'), ROUND_HALF_UP):,f}"


def count(value: int | Decimal | None) -> str:
    """A number with thousands separators, exact."""
    if value is None:
        return NOTHING
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else value.normalize()
        return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    return f"{value:,}"


def prose(text: str) -> Markup:
    """Escaped text with what stands between backticks as code."""
    pieces = [escape(without_control(piece)) for piece in text.split("`")]
    if len(pieces) % 2 == 0:  # an odd backtick is none of ours
        return escape(without_control(text))
    return Markup("").join(
        Markup("<code>") + piece + Markup("</code>") if place % 2 else piece for place, piece in enumerate(pieces)
    )


def tills(found: Tills) -> str:
    """How the tills of a day tied, in words."""
    if found.failed:
        return "1 store differs" if found.failed == 1 else f"{found.failed:,} stores differ"
    if found.matched or found.pending:
        return f"{found.matched:,} tie, {found.pending:,} explained or to come"
    return NOTHING


def md_code(value: object) -> Markup:
    """A value as code in a cell of a Markdown table, where it is nothing but text: no mark, link, mention or HTML."""
    text = " ".join(without_control(str(value)).split()).replace("|", "\\|") or " "
    fence = _fence(text, 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return Markup(f"{fence}{space}{text}{space}{fence}")


def md_block(lines: Iterable[object], language: str = "text") -> Markup:
    """Lines as a block of code in Markdown."""
    text = "\n".join(" ".join(without_control(str(line)).splitlines()) for line in lines)
    fence = _fence(text, 3)
    return Markup(f"{fence}{language}\n{text}\n{fence}")


def _fence(text: str, shortest: int) -> str:
    """More backticks than the text has in a row."""
    return "`" * max(shortest, 1 + max((len(run) for run in re.findall("`+", text)), default=0))


def level(verdict: Verdict) -> str:
    """How good a verdict is: good, note, warning or bad."""
    return LEVELS[verdict]


def mark(level_name: str) -> str:
    """The sign of a level."""
    return MARKS[level_name]
