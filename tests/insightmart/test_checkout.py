"""The commit and what differs from it, as git says."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from insightmart.checkout import BUILT_FROM, Checkout, lock_hash, look_at


def git(project: Path, *arguments: str) -> str:
    named = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    done = subprocess.run(["git", *named, *arguments], cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with two committed files and one that is ignored."""
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("var/\n", encoding="utf-8")
    (tmp_path / "a model.sql").write_text("SELECT 1\n" * 9, encoding="utf-8")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "x").write_text("", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_tree_is_its_commit(project: Path) -> None:
    assert look_at(project) == Checkout(git(project, "rev-parse", "HEAD"), ())
    assert look_at(project).is_dirty is False


def test_changed_renamed_and_unknown_files_are_named(project: Path) -> None:
    git(project, "mv", "a model.sql", "b model.sql")
    (project / ".gitignore").write_text("var/\n# more\n", encoding="utf-8")
    (project / "folder").mkdir()
    (project / "folder" / "ümlaut.sql").write_text("", encoding="utf-8")
    found = look_at(project)
    assert found.changed == (".gitignore", "b model.sql", "folder/ümlaut.sql")
    assert found.is_dirty is True


def test_a_tree_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("", encoding="utf-8")
    assert look_at(tmp_path) == Checkout(None, ("a",))


def test_without_git_or_a_checkout_nobody_can_say(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert look_at(project) == Checkout(None, None)
    monkeypatch.setenv("PATH", "")
    found = look_at(project)
    assert (found.commit, found.is_dirty) == (None, None)


def test_an_image_has_the_commit_that_it_was_built_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / BUILT_FROM).write_text("0123456789" * 4 + "\n", encoding="ascii")
    assert look_at(tmp_path) == Checkout("0123456789" * 4, ())
    (tmp_path / BUILT_FROM).write_text("main\n", encoding="ascii")
    assert look_at(tmp_path) == Checkout(None, None)


def test_the_lock_is_hashed(project: Path) -> None:
    assert lock_hash(project) is None
    (project / "requirements.lock").write_bytes(b"a==1\n")
    assert lock_hash(project) == hashlib.sha256(b"a==1\n").hexdigest()
