"""The project's files of a commit, and an interpreter with the packages of its lock."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from insightmart.checkout import LOCK, lock_hash, look_at
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.settings import PROJECT

TIMEOUT = 1_800  # seconds that an installation may take


@dataclass(frozen=True)
class Tree:
    """A project on disk.

    Attributes:
        folder: its root.
        python: the interpreter that has what its lock names.
        commit: full hash.
        is_this: whether it is the project that is running.
    """

    folder: Path
    python: Path
    commit: str
    is_this: bool


def tree_of(
    commit: str, scratch: Path, *, was_dirty: bool = False, this_lock: bool = False, project: Path = PROJECT
) -> Tree:
    """The files of a commit: this project where it is that commit unchanged, else taken out of git.

    Where its lock is another one than this project's, its packages are installed beside it, as `make setup` does.

    Args:
        commit: a commit as git names it.
        scratch: an empty folder that may be filled.
        was_dirty: something differed from the commit, which is nowhere else than, perhaps, in this project.
        this_lock: use the packages of this environment, whatever the commit's lock names.
        project: a checkout of the repository.

    Raises:
        ConfigurationError: git does not have the commit.
        InsightMartError: its packages cannot be installed.
    """
    known = look_at(project)
    full = _asked(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if full is None:
        raise ConfigurationError(
            f"commit {commit} is not in this repository",
            "Fetch it, or name another one with --commit; the journal (insightmart history) and the ledger"
            " (insightmart ledger verify) still prove what was published",
        )
    name = full.decode().strip()
    if name == known.commit and (was_dirty or not known.is_dirty):
        return Tree(project, Path(sys.executable), name, True)
    folder = scratch / "tree"
    folder.mkdir(parents=True)
    packed = _asked(project, "archive", "--format=tar", name)
    if packed is None:
        raise InsightMartError(f"git cannot give out the files of {name}", "Look at `git fsck`")
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(folder, filter="data")
    if this_lock or lock_hash(folder) == lock_hash(project):
        return Tree(folder, Path(sys.executable), name, False)
    return Tree(folder, _installed(folder, name), name, False)


def _installed(folder: Path, commit: str) -> Path:
    try:
        done = subprocess.run(
            ["make", "setup"], cwd=folder, capture_output=True, check=False, timeout=TIMEOUT, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_installed(commit, str(error)) from None
    python = folder / ".venv" / "bin" / "python"
    if done.returncode or not python.exists():
        raise _not_installed(commit, (done.stderr or done.stdout).strip()[-500:])
    return python


def _not_installed(commit: str, why: str) -> InsightMartError:
    return InsightMartError(
        f"the packages of {LOCK} of {commit[:10]} cannot be installed: {why}",
        "Give this machine the package index, or use the packages of this environment: --this-lock",
    )


def _asked(project: Path, *asked: str) -> bytes | None:
    """What git answers; None where it cannot."""
    try:
        done = subprocess.run(["git", *asked], cwd=project, capture_output=True, check=False, timeout=600)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout
