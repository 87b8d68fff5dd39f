"""Figures of certified as they were published at an instant, computed again and compared with the journal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingestion.warehouse import Warehouse
from insightmart import progress
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.journal.digests import hours_of
from insightmart.journal.figures import as_published, followed
from insightmart.journal.followed import FACTS, FOLLOWED, Fact, Followed
from insightmart.journal.publish import version_of_code
from insightmart.recorded_settings import figure_settings
from insightmart.reproducing import rebuild
from insightmart.reproducing.code_of_then import Tree, tree_of
from insightmart.reproducing.past import Cut, Publication, cuts, publications, windows_of_dates
from insightmart.reproducing.raw_of_then import Copied, copy_raw
from insightmart.settings import Settings

SHOWN = "shown"  # what the journal says
AGAIN = "computed_again"
TIMEOUT = 6 * 3600  # seconds that a computation may take
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "SYSTEMROOT")  # no secret is handed on


@dataclass(frozen=True)
class Step:
    """One computation: what it stood on.

    Attributes:
        published_at: of the publication whose state it is.
        commit: whose code made it.
        copied: what was taken out of raw.
        is_same_code: whether the models have the fingerprints that the journal kept; None where it kept none.
        was_dirty: whether it had been published from a tree with changes that no commit has.
    """

    published_at: datetime
    commit: str
    copied: Copied
    is_same_code: bool | None
    was_dirty: bool


@dataclass(frozen=True)
class Reproduction:
    """What came of it.

    Attributes:
        table: of certified.
        asked_at: the instant.
        compared: cells, or hours of a fact, that were compared.
        columns: of ``differing``: keys, then of each measure what was shown and what was computed again.
        differing: rows that are not the same.
        steps: the computations.
    """

    table: str
    asked_at: datetime
    compared: int
    columns: Sequence[str]
    differing: Sequence[tuple[Any, ...]]
    steps: Sequence[Step] = field(default_factory=tuple)

    @property
    def is_equal(self) -> bool:
        """Whether everything is what it was."""
        return not self.differing


@dataclass(frozen=True)
class _Question:
    """What is asked for, with what the journal says of it."""

    table: str
    followed: Followed
    fact: Fact | None
    keys: tuple[str, ...]
    values: tuple[str, ...]
    dates: tuple[date, ...]
    where: str
    shown: pa.Table

    @property
    def rows_asked_for(self) -> str:
        """Which rows of all that is computed again were asked for."""
        day = "CAST(event_hour AS DATE)" if self.fact else "business_date"
        days = ", ".join(f"DATE '{one}'" for one in self.dates)
        return f"{day} IN ({days}) AND ({self.where}\n)"


def reproduce(
    open_warehouse: Callable[[], Any],
    settings: Settings,
    table: str,
    instant: datetime,
    where: str | None,
    *,
    commit: str | None = None,
    this_lock: bool = False,
    whole: bool = False,
) -> Reproduction:
    """Compute figures again from what had been loaded when they were published, and compare.

    The warehouse is only read, and closed before anything is built.

    Args:
        open_warehouse: opens it, as a context manager.
        settings: of the project.
        table: of certified: an aggregate that the journal follows, or a fact it keeps digests of.
        instant: by which it was published, UTC, as the runs count.
        where: which cells (or hours of a fact), as SQL of DuckDB; None: all.
        commit: in place of the one that published it.
        this_lock: use the packages of this environment, whatever the lock of the commit says.
        whole: take all of raw, not only what the figures need.

    Raises:
        ConfigurationError: there is no such table, condition or commit.
        InsightMartError: nothing was shown then, or it cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="insightmart-reproduce-") as folder:
        scratch = Path(folder)
        with open_warehouse() as warehouse:
            told = publications(warehouse, instant)
            question = _ask(warehouse, table, told[-1], where)
            wanted = windows_of_dates(question.followed, question.dates, told[-1].through)
            found = cuts(warehouse, told, question.followed, wanted)
            homes = [scratch / f"home{place}" for place in range(len(found))]
            copied = [
                _copied(warehouse, settings, home, cut, question, whole=whole)
                for home, cut in zip(homes, found, strict=True)
            ]
        steps, again = [], _Again(question)
        trees: dict[str, Tree] = {}
        for home, cut, rows in zip(homes, found, copied, strict=True):
            name = commit or cut.code.commit
            if name is None:
                raise ConfigurationError(
                    "nobody knows which commit this was published from: it did not run out of a checkout of git",
                    "Name the one with --commit",
                )
            if name not in trees:
                was_dirty = commit is None and cut.code.was_dirty
                trees[name] = _tree(name, scratch / f"code{len(trees)}", was_dirty=was_dirty, this_lock=this_lock)
            fingerprints = again.take(_build(settings, home, trees[name], cut, question))
            known = cut.code.models_version
            is_same = None if known is None else version_of_code(fingerprints) == known
            steps.append(Step(cut.publication.published_at, trees[name].commit, rows, is_same, cut.code.was_dirty))
            shutil.rmtree(home, ignore_errors=True)
        columns, differing = again.compared_with(question.shown)
        return Reproduction(question.table, instant, question.shown.num_rows, columns, differing, steps)


# -- what is asked for -------------------------------------------------------------------------------------------------


def _ask(warehouse: Warehouse, table: str, last: Publication, where: str | None) -> _Question:
    name = table.lower().removeprefix("certified.")
    fact = next((one for one in FACTS if one.table == name), None)
    one = fact.aggregate if fact else _aggregate(name)
    keys: tuple[str, ...]
    values: tuple[str, ...]
    if fact:
        parts = ", ".join(f"'{part}'" for part in fact.parts)
        query = (
            "SELECT part, event_hour, row_count, row_digest FROM ops.published_digests"
            f" WHERE part IN ({parts}) AND publication <= {last.number}"
            " QUALIFY ROW_NUMBER() OVER (PARTITION BY part, event_hour ORDER BY publication DESC) = 1"
        )
        keys, values = ("part", "event_hour"), ("row_count", "row_digest")
    else:
        query, keys, values = as_published(one, last.published_at), one.keys, one.measures
    shown = _selected(_table_of(warehouse, query), where, keys)
    if not shown.num_rows:
        raise InsightMartError(
            f"certified.{name} showed nothing of this at {last.published_at:%Y-%m-%d %H:%M} UTC",
            "Look at its life: insightmart history" if fact is None else "Hours are UTC: event_hour, part, row_count",
        )
    days = sorted({_day(value) for value in shown.column(keys[1] if fact else "business_date").to_pylist()})
    return _Question(name, one, fact, keys, values, tuple(days), where or "TRUE", shown)


def _aggregate(name: str) -> Followed:
    if name in {one.table for one in FOLLOWED}:
        return followed(name)
    known = ", ".join(one.table for one in (*FOLLOWED, *FACTS))
    raise ConfigurationError(f"certified.{name} is not kept as it was published", f"These are: {known}")


def _day(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value


def _table_of(warehouse: Warehouse, query: str) -> pa.Table:
    records = warehouse.records(query)
    return pa.Table.from_pylist(records) if records else pa.table({})


def _selected(shown: pa.Table, where: str | None, keys: Sequence[str]) -> pa.Table:
    """The rows that a condition chooses."""
    if not where or not shown.num_rows:
        return shown
    with duckdb.connect() as own:
        own.register(SHOWN, shown)
        own.execute("SET enable_external_access = false")
        try:
            return own.execute(f"SELECT * FROM {SHOWN} WHERE ({where}\n)").to_arrow_table()
        except duckdb.Error as error:
            raise ConfigurationError(
                f"--where: {str(error).splitlines()[0]}", f"A condition on {', '.join(keys)} and what is measured"
            ) from None


def _copied(
    warehouse: Warehouse, settings: Settings, home: Path, cut: Cut, question: _Question, *, whole: bool
) -> Copied:
    with progress.step(f"Rows loaded by {cut.publication.published_at:%Y-%m-%d %H:%M} UTC") as step:
        found = copy_raw(warehouse, settings, home, cut, question.followed.parts, question.followed.area, whole=whole)
        step.outcome = f"{sum(found.rows.values()):,} of {found.loads:,} loads"
    return found


# -- building ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Built:
    view: str
    fingerprints: Mapping[str, tuple[str, str]]
    files: Mapping[str, list[Path]]


def _tree(commit: str, scratch: Path, *, was_dirty: bool, this_lock: bool) -> Tree:
    with progress.step(f"Code of commit {commit[:10]}") as step:
        found = tree_of(commit, scratch, was_dirty=was_dirty, this_lock=this_lock)
        step.outcome = "it is this one" if found.is_this else "taken out of git"
    return found


def _build(settings: Settings, home: Path, tree: Tree, cut: Cut, question: _Question) -> _Built:
    """Build what the windows of a cut need, in a process of its own in the tree of its code."""
    with progress.step(f"Models as of {cut.publication.published_at:%Y-%m-%d %H:%M} UTC"):
        return _built(settings, home, tree, cut, question)


def _built(settings: Settings, home: Path, tree: Tree, cut: Cut, question: _Question) -> _Built:
    into = home / "answer"
    into.mkdir()
    if tree.is_this:
        _share_cache(settings.home, home)
    names = {part: part for part in cut.windows}
    if question.fact:
        names = {fact_part: part for fact_part, part in question.fact.parts.items() if part in cut.windows}
    through = max(end for windows in cut.windows.values() for _, end in windows)
    request = {
        "project": str(tree.folder),
        "parts": {
            name: [(start.isoformat(), _last(end).isoformat()) for start, end in cut.windows[part]]
            for name, part in names.items()
        },
        "table": question.table,
        "start": settings.history_start.isoformat(),
        "end": _last(through).isoformat(),
        "now": max(cut.publication.published_at, through).isoformat(),
        "into": str(into),
    }
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment = {
        **kept,
        **figure_settings(settings),
        "SHOPIFY_POS_STORES": settings.shopify_pos_stores,
        "INSIGHTMART_GATEWAY": "local",
        "INSIGHTMART_HOME": str(home),
        "PYTHON_DOTENV_DISABLED": "1",
        "PYTHONPATH": str(tree.folder),
        "HOME": str(home),
    }
    script = home / "rebuild.py"
    shutil.copy(str(rebuild.__file__), script)
    try:
        done = subprocess.run(
            [str(tree.python), str(script)],
            input=json.dumps(request),
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise InsightMartError(
            f"the models of {tree.commit[:10]} were not built within {TIMEOUT // 3600} hours",
            "Ask for fewer dates with --where",
        ) from None
    if done.returncode or not (into / "built.json").exists():
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise InsightMartError(
            f"the models of {tree.commit[:10]} cannot be built: {said[-1].strip() if said else 'no word'}",
            "Look at the commit in a checkout of its own; --commit names another one",
        )
    told = json.loads((into / "built.json").read_text(encoding="utf-8"))
    files = {name: sorted(into.glob(f"{name}.*.parquet")) for name in names}
    return _Built(told["view"], {name: (one, other) for name, (one, other) in told["fingerprints"].items()}, files)


def _last(end: datetime) -> datetime:
    """The last instant of a window, as SQLMesh says it."""
    return end - datetime.resolution


def _share_cache(ours: Path, home: Path) -> None:
    """What this project has parsed before is parsed no second time: it is kept under the name of its content."""
    for name in ("model_definition", "optimized_query"):
        if (known := ours / "cache" / name).is_dir():
            (home / "cache").mkdir(exist_ok=True)
            shutil.copytree(known, home / "cache" / name)


# -- comparing ---------------------------------------------------------------------------------------------------------


class _Again:
    """What was computed again, gathered from all computations."""

    def __init__(self, question: _Question) -> None:
        self._question = question
        self._own = duckdb.connect()
        self._own.execute("CREATE SCHEMA certified")
        self._view: str | None = None

    def take(self, built: _Built) -> Mapping[str, tuple[str, str]]:
        """Add what one computation gave."""
        for name, files in built.files.items():
            for file in files:
                rows = f"SELECT * FROM read_parquet('{str(file).replace(chr(39), chr(39) * 2)}')"
                self._own.execute(f"CREATE TABLE IF NOT EXISTS certified.{name} AS {rows} LIMIT 0")
                self._own.execute(f"INSERT INTO certified.{name} BY NAME {rows}")
        self._view = built.view
        return built.fingerprints

    def compared_with(self, shown: pa.Table) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The rows that are not the same, with the names of their columns."""
        question = self._question
        self._own.register(SHOWN, shown)
        self._own.execute(f"CREATE TABLE {AGAIN} AS {self._computed()}")
        of_keys = " AND ".join(f"s.{key} = a.{key}" for key in question.keys)
        columns = [f"COALESCE(s.{key}, a.{key}) AS {key}" for key in question.keys]
        for name in question.values:
            columns += [f"s.{name} AS {name}_published", f"a.{name} AS {name}_again"]
        differs = " OR ".join(f"s.{name} IS DISTINCT FROM a.{name}" for name in question.values)
        found = self._own.execute(
            f"SELECT {', '.join(columns)} FROM {SHOWN} AS s"
            f" FULL OUTER JOIN (SELECT * FROM {AGAIN} WHERE {question.rows_asked_for}) AS a ON {of_keys}"
            f" WHERE {differs} ORDER BY ALL"
        )
        names = [column[0] for column in found.description]
        return names, found.fetchall()

    def _computed(self) -> str:
        question = self._question
        if question.fact is None:
            for part in question.followed.parts:
                self._stand_in(part)
            self._own.execute(f"CREATE VIEW certified.{question.table} AS {self._view}")
            return question.followed.cells.format(dates="TRUE")
        hours = [
            hours_of(question.fact, part, f"certified.{part}", columns, "TRUE", "duckdb")
            for part in question.fact.parts
            if (columns := self._columns(part))
        ]
        query = " UNION ALL ".join(hours).replace("TIMESTAMP_NTZ", "TIMESTAMP")
        emptied = f"SELECT part, event_hour, 0, NULL FROM {SHOWN} WHERE row_count = 0"
        return f"{query} UNION ALL ({emptied})" if query else emptied

    def _columns(self, part: str) -> dict[str, str]:
        return {
            name.lower(): kind
            for name, kind in self._own.execute(
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = 'certified' AND table_name ILIKE ?",
                [part],
            ).fetchall()
        }

    def _stand_in(self, part: str) -> None:
        """A part that had nothing yet is empty, with the columns of its sibling."""
        if not self._columns(part):
            other = next(one for one in self._question.followed.parts if self._columns(one))
            self._own.execute(f"CREATE TABLE certified.{part} AS SELECT * FROM certified.{other} LIMIT 0")
