"""What SQLMesh renders for one window is not rendered again for the next: it is a text with places for the instants.

A model's query and its audits are the same statement hour after hour but for the instants of the window. SQLMesh
renders them anew each time, which was a third of the processor time of an hour. Here they are rendered for two windows
that no data lies in, and the text of the first becomes a template: wherever it shows one of its own instants, the
template has a place. Only if the template gives the second window's text to the letter, is it used and kept, beside
SQLMesh's own cache, under a name that says everything the statement is made of. Whatever else is rendered as ever.

The statement that a table is created of gives no rows, and so has no window: its text is kept as it is.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.optimizer.qualify_columns import quote_identifiers
from sqlmesh.core.macros import RuntimeStage
from sqlmesh.utils import sanitize_name
from sqlmesh.utils.cache import FileCache
from sqlmesh.utils.date import make_inclusive, to_datetime, to_ds, to_ts, to_tstz

if TYPE_CHECKING:
    from sqlmesh.core.model import SqlModel
    from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot

Render = Callable[..., exp.Query]

# Start, end (excluded) and "now" of the two windows. No part of an instant is that of another: what a statement makes
# of an hour, a day or a year shows.
MARKED = (datetime(2817, 3, 14, 15), datetime(2831, 7, 23, 9), datetime(2845, 12, 5, 21, 40, 33))
OTHER = (datetime(2716, 1, 29, 6), datetime(2716, 1, 29, 7), datetime(2759, 10, 18, 13, 7, 11))
PLACES = ("start", "end", "execution")
LITERAL = re.compile(r"'[^']*'")

# how SQLMesh writes an instant into a statement
FORMATS: dict[str, Callable[[datetime], str]] = {
    "ts": to_ts,
    "ds": to_ds,
    "next ds": lambda instant: to_ds(instant + timedelta(days=1)),  # a day added to a date is added up beforehand
    "tstz": to_tstz,
    "iso": lambda instant: instant.replace(tzinfo=None).isoformat(),
    "isotz": datetime.isoformat,
}

# What the arguments of a rendering are called that say where and when, and not what.
CIRCUMSTANCES = {
    "start",
    "end",
    "execution_time",
    "snapshots",
    "snapshot",
    "deployability_index",
    "engine_adapter",
    "runtime_stage",
    "snapshot_table_exists",
    "selected_models",
    "environment_naming_info",
}


@dataclass(frozen=True)
class Template:
    """A statement with places for instants.

    Attributes:
        parts: text, and between it (which instant, in which format).
        columns: name -> type of what it selects, the type as text.
    """

    parts: tuple[str | tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]

    def text(self, window: Sequence[Any]) -> str:
        """The statement for a window: its start, its end (excluded) and "now"; none, where it has no places."""
        instants = _instants(window) if window else {}
        return "".join(part if isinstance(part, str) else FORMATS[part[1]](instants[part[0]]) for part in self.parts)

    def query(self, window: Sequence[Any]) -> exp.Query:
        """The statement as something SQLMesh can select from, without a syntax tree of what is in it."""
        source = exp.Table(
            this=exp.Var(this=f"({self.text(window)})"), alias=exp.TableAlias(this=exp.to_identifier("_rendered", True))
        )
        names = [name for name, _ in self.columns]
        selected = [exp.Star()] if "*" in names else [exp.column(name, quoted=True) for name in names]
        return exp.select(*selected, copy=False).from_(source, copy=False)


def template_of(render: Callable[[Sequence[datetime]], exp.Query], dialect: str) -> Template | None:
    """The template of what is rendered for a window; None for a statement that has none."""
    query = render(MARKED)
    marked, places = _text(query, dialect), _places()
    parts: list[str | tuple[str, str]] = []
    end = 0
    for found in LITERAL.finditer(marked):
        if place := places.get(found[0][1:-1]):
            parts += [marked[end : found.start() + 1], place]
            end = found.end() - 1
    parts.append(marked[end:])
    template = Template(tuple(parts), _columns(query))
    return template if template.text(OTHER) == _text(render(OTHER), dialect) else None


def _columns(query: exp.Query) -> tuple[tuple[str, str], ...]:
    return tuple((select.output_name, (select.type or exp.DataType.build("unknown")).sql()) for select in query.selects)


def _text(query: exp.Query, dialect: str) -> str:
    query = query.copy()
    quote_identifiers(query)
    return query.sql(dialect=dialect, comments=False, copy=False)


def _instants(window: Sequence[Any]) -> dict[str, datetime]:
    start, end, execution = window
    return dict(zip(PLACES, (*make_inclusive(start, end, None), to_datetime(execution)), strict=True))


@functools.cache
def _places() -> dict[str, tuple[str, str]]:
    """What an instant of the marked window looks like -> which it is, in which format."""
    return {
        write(instant): (name, format_)
        for name, instant in _instants(MARKED).items()
        for format_, write in FORMATS.items()
    }


class Templates:
    """The templates by name, in memory and, once a folder is named, in files."""

    def __init__(self) -> None:
        self._known: dict[str, Template | None] = {}
        self._files: FileCache[Template] | None = None

    def keep_in(self, cache: Path) -> None:
        """Read and keep templates in a folder of this cache, which belongs to one state as the rest of it does."""
        self._known.clear()
        self._files = FileCache(cache, prefix="statement_template")

    def get(self, name: str, make: Callable[[], Template | None]) -> Template | None:
        """The template of this name; it is made if there is none yet."""
        if name not in self._known:
            found = self._files.get(name) if self._files else None
            if found is None:
                found = make()
                if found is not None and self._files:
                    self._files.put(name, value=found)
            self._known[name] = found
        return self._known[name]


TEMPLATES = Templates()


def evaluated_by_template(render: Render) -> Render:
    """A model is evaluated by the template of its query, where it has one."""

    @functools.wraps(render)
    def render_query_or_raise(self: SqlModel, **given: Any) -> exp.Query:
        if given.get("runtime_stage") is not RuntimeStage.EVALUATING:
            return render(self, **given)
        query = _by_template(self, "", functools.partial(render, self), given)
        return render(self, **given) if query is None else query

    return render_query_or_raise


def audited_by_template(render: Render) -> Render:
    """A model is audited by the templates of its audits' queries, where they have one."""

    @functools.wraps(render)
    def render_audit_query(self: SqlModel, audit: Any, **given: Any) -> exp.Query:
        if given.get("runtime_stage") is not RuntimeStage.AUDITING:
            return render(self, audit, **given)
        query = _by_template(self, audit.name, functools.partial(render, self, audit), given)
        return render(self, audit, **given) if query is None else query

    return render_audit_query


def created_by_template(render: Render) -> Render:
    """A table is created of the text of its query, which is rendered once, as long as it is made of the same."""

    @functools.wraps(render)
    def ctas_query(self: SqlModel, **given: Any) -> exp.Query:
        snapshots: Mapping[str, Snapshot] = given.get("snapshots") or {}
        if given.get("runtime_stage") is not RuntimeStage.CREATING or self.fqn not in snapshots:
            return render(self, **given)

        def rendered() -> Template:
            query = render(self, **given)
            return Template((_text(query, given["engine_adapter"].dialect),), _columns(query))

        template = TEMPLATES.get(_name(self, "created", snapshots, given), rendered)
        assert template is not None
        _told_by(template, self)
        return template.query(())

    return ctas_query


def _by_template(model: SqlModel, purpose: str, render: Render, given: Mapping[str, Any]) -> exp.Query | None:
    snapshots: Mapping[str, Snapshot] = given.get("snapshots") or {}
    window = [given.get(name) for name in ("start", "end", "execution_time")]
    if model.fqn not in snapshots or None in window:
        return None

    def for_window(instants: Sequence[datetime]) -> exp.Query:
        start, end, execution_time = instants
        return render(**{**given, "start": start, "end": end, "execution_time": execution_time})

    dialect = given["engine_adapter"].dialect
    template = TEMPLATES.get(_name(model, purpose, snapshots, given), lambda: template_of(for_window, dialect))
    if template is None:
        return None
    if not purpose:
        _told_by(template, model)
    return template.query(window)


def _told_by(template: Template, model: SqlModel) -> None:
    if model._columns_to_types is None and model.columns_to_types_ is None:
        model._columns_to_types = {name: exp.DataType.build(type_) for name, type_ in template.columns}


def _name(model: SqlModel, purpose: str, snapshots: Mapping[str, Snapshot], given: Mapping[str, Any]) -> str:
    """Everything that a statement is made of: the model as it is, where it and its parents lie, what was passed."""
    deployable: DeployabilityIndex = given["deployability_index"]
    tables = (
        f"{name} {snapshot.fingerprint.to_identifier()} {deployable.is_representative(snapshot)}"
        f" {deployable.is_deployable(snapshot)} {snapshot.version} {snapshot.dev_version}"
        for name, snapshot in sorted(snapshots.items())
    )
    passed = (
        f"{name} {value.sql() if isinstance(value, exp.Expr) else value!r}"
        for name, value in sorted(given.items())
        if name not in CIRCUMSTANCES
    )
    made_of = "\n".join([given["engine_adapter"].dialect, purpose, *tables, *passed])
    return f"{sanitize_name(f'{model.name}_{purpose}')}_{hashlib.sha256(made_of.encode()).hexdigest()}"
