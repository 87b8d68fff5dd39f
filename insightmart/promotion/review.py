"""What the reviewer gets: the findings, and their page and JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from insightmart.errors import InsightMartError
from insightmart.kept_place import kept_place
from insightmart.promotion.diff import TableDiff
from insightmart.promotion.reach import Reach
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings
from insightmart.status.rendering import render

LONGEST_COMMENT = 65_000  # characters; GitHub takes 65,536


@dataclass(frozen=True)
class Change:
    """A model that prod would get in another version; ``lines`` are what its text, or a gate's checks, differ in."""

    model: str
    what: str
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PassedGate:
    """A gate that has scanned the candidates of the environment: how many scans, and what they cover (UTC)."""

    gate: str
    scans: int
    start: datetime
    end: datetime


@dataclass
class Review:
    """What the reviewer gets. Written as HTML and JSON before anything is applied, and again when it has been."""

    environment: str
    gateway: str
    reviewed_at: datetime
    built_at: datetime
    git_sha: str | None
    unit_tests: int = 0
    changes: list[Change] = field(default_factory=list)
    reach: list[Reach] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    gates: list[PassedGate] = field(default_factory=list)
    backfill: list[str] = field(default_factory=list)
    tables: list[TableDiff] = field(default_factory=list)
    unchanged_tables: list[str] = field(default_factory=list)
    promoted_at: datetime | None = None
    plan_id: str | None = None
    approved_by: str | None = None

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        differ = [table for table in self.tables if not table.is_equal]
        if self.promoted_at:
            return f"{self.environment} has been promoted"
        if not differ:
            return f"{self.environment} may be promoted; no certified figure changes"
        noun = "table changes" if len(differ) == 1 else "tables change"
        return f"{self.environment} may be promoted; {len(differ)} certified {noun}"


def write_review(folder: Path, review: Review) -> Path:
    """Write index.html, promotion.md and promotion.json; the page is complete in itself. Returns the path of the page.

    Raises:
        InsightMartError: the folder cannot be written.
    """
    page = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(render("promotion.html.j2", review=review, nothing="\N{EN DASH}"), encoding="utf-8")
        (folder / "promotion.md").write_text(as_markdown(review), encoding="utf-8")
        (folder / "promotion.json").write_text(json.dumps(as_json(review), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InsightMartError(f"{page} cannot be written: {error.strerror}") from None
    return page


def keep_review(settings: Settings, folder: Path, run_id: str) -> list[RunProblem]:
    """Put a written review to KEPT_URL, where it is set: the ledger has its hash. Returns what kept it from there."""
    if (place := kept_place(settings)) is None:
        return []
    try:
        for path in sorted(folder.iterdir()):
            place.put(f"promotions/{run_id}/{path.name}", path.read_bytes())
    except InsightMartError as error:
        said = f"the review is in {folder} alone: {error.cause}"
        return [RunProblem(ProblemKind.EVIDENCE, "promotion", said, error.cure)]
    return []


def review_hash(folder: Path) -> str:
    """SHA-256 of the written promotion.json: the ledger keeps it."""
    return hashlib.sha256((folder / "promotion.json").read_bytes()).hexdigest()


def as_json(review: Review) -> dict[str, Any]:
    """The review for a program: decimals as text, exact."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(review), default=str))
    return {"headline": review.headline, "promoted": review.promoted_at is not None, **found}


def as_markdown(review: Review) -> str:
    """The review as a comment on a pull request. One that would be too long for GitHub leaves out the texts of models
    first, then the figures by month, and says so."""
    texts = [
        render("promotion.md.j2", review=review, nothing="\N{EN DASH}", has_texts=has_texts, has_months=has_months)
        for has_texts, has_months in ((True, True), (False, True), (False, False))
    ]
    return next((text for text in texts if len(text) <= LONGEST_COMMENT), texts[-1][:LONGEST_COMMENT])


def new_folder(wanted: Path) -> Path:
    """The wanted folder, or one with a number behind its name when it exists: no review is overwritten."""
    number, folder = 1, wanted
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder
