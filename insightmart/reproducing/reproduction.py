"""Figures of certified as they were published at an instant, computed again and compared with the journal."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestion.warehouse import Warehouse
from insightmart import progress
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.journal.publish import version_of_code
from insightmart.reproducing.building import Built, build
from insightmart.reproducing.code_of_then import Tree, tree_of
from insightmart.reproducing.comparison import ComputedAgain
from insightmart.reproducing.past import Cut, cuts, publications, windows_of_dates
from insightmart.reproducing.past_figures import PastFigures, ask
from insightmart.reproducing.raw_of_then import Copied, copy_raw
from insightmart.settings import Settings


@dataclass(frozen=True)
class Computation:
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
    steps: Sequence[Computation] = field(default_factory=tuple)

    @property
    def is_equal(self) -> bool:
        """Whether everything is what it was."""
        return not self.differing


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
    if settings.gateway == "local" and not settings.database_path.exists():
        raise InsightMartError(f"there is no warehouse in {settings.home} yet", "Run a cycle first: insightmart cycle")
    with tempfile.TemporaryDirectory(prefix="insightmart-reproduce-") as folder:
        scratch = Path(folder)
        with open_warehouse() as warehouse:
            told = publications(warehouse, instant)
            asked = ask(warehouse, table, told[-1], where)
            wanted = windows_of_dates(asked.followed, asked.dates, told[-1].through)
            found = cuts(warehouse, told, asked.followed, wanted)
            homes = [scratch / f"home{place}" for place in range(len(found))]
            copied = [
                _copied(warehouse, settings, home, cut, asked, whole=whole)
                for home, cut in zip(homes, found, strict=True)
            ]
        steps, again = [], ComputedAgain(asked)
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
            fingerprints = again.take(_build(settings, home, trees[name], cut, asked))
            known = cut.code.models_version
            is_same = None if known is None else version_of_code(fingerprints) == known
            steps.append(
                Computation(cut.publication.published_at, trees[name].commit, rows, is_same, cut.code.was_dirty)
            )
            shutil.rmtree(home, ignore_errors=True)
        columns, differing = again.compared()
        return Reproduction(asked.table, instant, asked.shown.num_rows, columns, differing, steps)


def _copied(
    warehouse: Warehouse, settings: Settings, home: Path, cut: Cut, asked: PastFigures, *, whole: bool
) -> Copied:
    with progress.step(f"Rows loaded by {cut.publication.published_at:%Y-%m-%d %H:%M} UTC") as step:
        found = copy_raw(warehouse, settings, home, cut, asked.followed.parts, asked.followed.area, whole=whole)
        step.outcome = f"{sum(found.rows.values()):,} of {found.loads:,} loads"
    return found


def _tree(commit: str, scratch: Path, *, was_dirty: bool, this_lock: bool) -> Tree:
    with progress.step(f"Code of commit {commit[:10]}") as step:
        found = tree_of(commit, scratch, was_dirty=was_dirty, this_lock=this_lock)
        step.outcome = "it is this one" if found.is_this else "taken out of git"
        if found.python != Path(sys.executable):
            step.outcome += ", with the packages of its lock"
    return found


def _build(settings: Settings, home: Path, tree: Tree, cut: Cut, asked: PastFigures) -> Built:
    with progress.step(f"Models as of {cut.publication.published_at:%Y-%m-%d %H:%M} UTC"):
        return build(settings, home, tree, cut, asked)
