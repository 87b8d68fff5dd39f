"""Four eyes: who approves a change is not who wrote it.

The names are compared as git and the caller write them. That the approver is who he says has to be seen to outside:
GitHub asks the reviewers of the environment `production`, and hands over who it was.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ingestion.warehouse import Warehouse
from insightmart.errors import ConfigurationError

# The summary of a run that did the rest of a plan that was killed: the commit that it names is that of its own files,
# and nobody has looked at them.
FINISHED = {"finished": True}

_GITHUB = re.compile(r"(?:\d+\+)?(.+)@users\.noreply\.github\.com")


@dataclass(frozen=True)
class Author:
    """Who wrote a commit, as git says."""

    name: str
    email: str

    @property
    def names(self) -> set[str]:
        """What he may be called: name, address, what is before its @, login at GitHub; in lower case."""
        github = _GITHUB.fullmatch(self.email)
        found = {self.name, self.email, self.email.partition("@")[0], github[1] if github else ""}
        return {name.strip().casefold() for name in found if name.strip()}


def wrote_it_himself(warehouse: Warehouse, project: Path, approved_by: str) -> list[str]:
    """What speaks against an approval: the approver wrote one of the commits since the promotion before.

    Raises:
        ConfigurationError: nobody can say who wrote them.
    """
    authors = authors_since(project, _promoted_before(warehouse))
    if not authors:
        raise ConfigurationError(
            f"nobody can say whether {approved_by} wrote the change: there is no git history in {project}",
            "Promote from a checkout with its history",
        )
    own = [author for author in authors if approved_by.strip().casefold() in author.names]
    return [f"{approved_by} wrote it ({author.name} <{author.email}>): somebody else has to approve" for author in own]


def authors_since(project: Path, commit: str | None) -> list[Author]:
    """Who wrote the commits since one, without merges; of the last one, where that one is not known (any more)."""
    found = _authors(project, f"{commit}..HEAD") if commit else []
    return found or _authors(project, "--max-count=1", "HEAD")


def _authors(project: Path, *which: str) -> list[Author]:
    asked = ["git", "log", "--no-merges", "--format=%an%x00%ae", *which, "--"]
    try:
        done = subprocess.run(asked, cwd=project, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):  # no git on this machine, or one that hangs
        return []
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return [Author(*line.split("\0", 1)) for line in dict.fromkeys(lines)]


def _promoted_before(warehouse: Warehouse) -> str | None:
    found: str | None = warehouse.value(
        "SELECT git_sha FROM ops.runs WHERE command = 'promote' AND status = 'succeeded' AND plan_id IS NOT NULL"
        " AND COALESCE(summary, '') <> ? ORDER BY started_at DESC LIMIT 1",
        [json.dumps(FINISHED)],
    )
    return found if found and re.fullmatch(r"[0-9a-f]{40,64}", found) else None
