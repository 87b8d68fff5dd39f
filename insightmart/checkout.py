"""The checkout this runs from: its commit, what differs from it, and the hash of the lock file."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from insightmart.settings import PROJECT

LOCK = "requirements.lock"
BUILT_FROM = ".built-from"  # in an image, which has no git: the commit it was built from


@dataclass(frozen=True)
class Checkout:
    """A working tree of git, or a place that is none.

    Attributes:
        commit: full hash of the commit that is checked out; None where there is no git, no checkout or no commit.
        changed: files that differ from the commit, those that git does not know and does not ignore included; None
            where nobody can say.
    """

    commit: str | None = None
    changed: tuple[str, ...] | None = None

    @property
    def is_dirty(self) -> bool | None:
        """Whether a file differs from the commit; None where nobody can say."""
        return None if self.changed is None else bool(self.changed)


def look_at(project: Path = PROJECT) -> Checkout:
    """Commit and changed files of a project, in one question to git; in an image, what it was built from."""
    asked = ["git", "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a look writes nothing
    try:
        found = subprocess.run(asked, cwd=project, env=environment, capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):  # no git on this machine, or one that hangs
        return _built_from(project)
    if found.returncode:
        return _built_from(project)
    commit, changed = None, []
    parts = iter(found.stdout.decode("utf-8", "replace").split("\0"))
    for part in parts:
        kind, _, rest = part.partition(" ")
        if part.startswith("# branch.oid "):
            commit = None if part.endswith("(initial)") else part.rpartition(" ")[2]
        elif kind in _FIELDS_BEFORE_THE_PATH:
            changed.append(rest.split(" ", _FIELDS_BEFORE_THE_PATH[kind])[-1])
            if kind == "2":  # renamed: the old name follows
                next(parts, None)
    return Checkout(commit, tuple(sorted(changed)))


def _built_from(project: Path) -> Checkout:
    """What `make image` noted, which builds nothing but a clean commit."""
    try:
        commit = (project / BUILT_FROM).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return Checkout()
    return Checkout(commit, ()) if re.fullmatch("[0-9a-f]{40}", commit) else Checkout()


# of a line of `git status --porcelain=v2`, by its kind: changed, renamed, unmerged, unknown to git
_FIELDS_BEFORE_THE_PATH = {"1": 7, "2": 8, "u": 9, "?": 0}


def lock_hash(project: Path = PROJECT) -> str | None:
    """SHA-256 of requirements.lock, None where there is no such file."""
    try:
        return hashlib.sha256((project / LOCK).read_bytes()).hexdigest()
    except OSError:
        return None
