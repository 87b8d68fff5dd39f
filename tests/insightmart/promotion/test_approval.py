"""Who wrote a change, as git has it: since the promotion before, without merges."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from insightmart.errors import ConfigurationError
from insightmart.promotion.approval import FINISHED, Author, authors_since, wrote_it_himself
from tests.support.handmade_warehouse import Business

ANA, BEN = Author("Ana", "1+ana-s@users.noreply.github.com"), Author("Ben", "ben@example.com")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Ana writes two commits, Ben one, and Ana merges a branch of his."""
    project = tmp_path / "project"
    project.mkdir()
    git(project, ANA, "init", "-q", "-b", "main")
    for number, author in enumerate((ANA, ANA, BEN)):
        commit(project, author, f"{number}")
    git(project, BEN, "switch", "-qc", "side", "HEAD~1")
    commit(project, BEN, "side")
    git(project, ANA, "switch", "-q", "main")
    git(project, ANA, "merge", "-q", "--no-ff", "-m", "merge", "side")
    return project


def git(project: Path, author: Author, *arguments: str) -> str:
    named = ("-c", f"user.name={author.name}", "-c", f"user.email={author.email}", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *named, *arguments], cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(project: Path, author: Author, name: str) -> None:
    (project / name).write_text(name, encoding="utf-8")
    git(project, author, "add", name)
    git(project, author, "commit", "-qm", name)


def test_authors_are_those_since_the_promotion_before(history: Path, tmp_path: Path) -> None:
    first = git(history, ANA, "rev-list", "--max-parents=0", "HEAD")
    assert set(authors_since(history, first)) == {ANA, BEN}
    assert authors_since(history, git(history, ANA, "rev-parse", "HEAD~1")) == [BEN]  # the merge counts for nobody
    for unknown in (None, "0" * 40, git(history, ANA, "rev-parse", "HEAD")):
        assert authors_since(history, unknown) == [BEN]
    assert authors_since(tmp_path, None) == []


def test_who_wrote_it_does_not_approve_it(history: Path, business: Business, tmp_path: Path) -> None:
    first = git(history, ANA, "rev-list", "--max-parents=0", "HEAD")
    business.ran("promote-1", business.warehouse.value("SELECT CAST('2026-03-06' AS TIMESTAMP)"), "succeeded")
    business.warehouse.execute("UPDATE ops.runs SET command = 'promote', plan_id = 'p', git_sha = ?", [first])
    # what was killed was finished since, by a command that has later files
    head = git(history, ANA, "rev-parse", "HEAD")
    business.ran("promote-2", business.warehouse.value("SELECT CAST('2026-03-07' AS TIMESTAMP)"), "succeeded")
    business.warehouse.execute(
        "UPDATE ops.runs SET command = 'promote', plan_id = 'q', git_sha = ?, summary = ? WHERE run_id = 'promote-2'",
        [head, json.dumps(FINISHED)],
    )
    for name in ("ana", " ANA-S ", "Ben", "ben@example.com"):
        assert wrote_it_himself(business.warehouse, history, name) != [], name
    assert wrote_it_himself(business.warehouse, history, "carla") == []
    with pytest.raises(ConfigurationError, match="nobody can say whether carla wrote the change"):
        wrote_it_himself(business.warehouse, tmp_path, "carla")
