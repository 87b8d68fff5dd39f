"""The files of a commit, out of a repository made for the test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.reproducing.code_of_then import tree_of


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.com")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two commits: the first one with another model, the second one with another lock besides."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for lock, model in (("a==1", "SELECT 1"), ("a==1", "SELECT 2"), ("a==2", "SELECT 3")):
        (folder / "requirements.lock").write_text(lock, encoding="utf-8")
        (folder / "model.sql").write_text(model, encoding="utf-8")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", model)
    return folder


def commit(project: Path, name: str) -> str:
    return git(project, "rev-parse", name)


def test_the_commit_that_is_checked_out_is_this_project_unless_something_differs(project: Path, tmp_path: Path) -> None:
    head = commit(project, "HEAD")
    tree = tree_of(head, tmp_path / "a", project=project)
    assert (tree.folder, tree.python, tree.commit, tree.is_this) == (project, Path(sys.executable), head, True)
    (project / "model.sql").write_text("SELECT 4", encoding="utf-8")
    tree = tree_of(head, tmp_path / "b", project=project)
    assert not tree.is_this
    assert (tree.folder / "model.sql").read_text(encoding="utf-8") == "SELECT 3"
    # what differed when it was published is nowhere else
    assert tree_of(head, tmp_path / "c", was_dirty=True, project=project).is_this


def test_another_commit_is_taken_out_of_git_and_nothing_is_checked_out(project: Path, tmp_path: Path) -> None:
    git(project, "checkout", "--quiet", "HEAD~1")
    tree = tree_of(commit(project, "HEAD~1"), tmp_path / "a", project=project)
    assert (tree.folder / "model.sql").read_text(encoding="utf-8") == "SELECT 1"
    assert tree.python == Path(sys.executable)  # its lock is the same one
    assert (project / "model.sql").read_text(encoding="utf-8") == "SELECT 2"
    assert git(project, "status", "--porcelain") == ""


def test_a_lock_that_cannot_be_installed_is_one_clear_line_and_can_be_left_aside(project: Path, tmp_path: Path) -> None:
    old = commit(project, "HEAD~1")
    with pytest.raises(
        InsightMartError, match=f"packages of requirements.lock of {old[:10]} cannot be installed"
    ) as no:
        tree_of(old, tmp_path / "a", project=project)  # it has no Makefile
    assert "--this-lock" in str(no.value.cure)
    tree = tree_of(old, tmp_path / "b", this_lock=True, project=project)
    assert (tree.folder / "model.sql").read_text(encoding="utf-8") == "SELECT 2"


def test_a_lock_of_another_commit_is_installed_as_that_commit_says(project: Path, tmp_path: Path) -> None:
    git(project, "checkout", "--quiet", "HEAD~1")
    recipe = "setup:\n\tmkdir -p .venv/bin\n\ttouch .venv/bin/python\n"
    (project / "Makefile").write_text(recipe, encoding="utf-8")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "a Makefile")
    with_makefile = commit(project, "HEAD")
    git(project, "checkout", "--quiet", "main")
    tree = tree_of(with_makefile, tmp_path / "a", project=project)
    assert tree.python == tree.folder / ".venv" / "bin" / "python"


@pytest.mark.parametrize("name", ["0123456789012345678901234567890123456789", "--help", "gone", ""])
def test_a_commit_that_is_gone_is_said_with_what_can_still_be_proven(name: str, project: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not in this repository") as refused:
        tree_of(name, tmp_path / "a", project=project)
    assert "ledger verify" in str(refused.value.cure)
