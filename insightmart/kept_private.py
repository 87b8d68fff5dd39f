"""What other users of this machine see of a home and of its processes: the copy for readers and the status pages alone.

What a command writes is for its owner: files 0600, folders 0700. The home itself may be passed through but not listed
(0711), because `readers` (0750, its files 0440) and `status` (0755, its pages 0644) lie in it, which are for others.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

HOME = 0o711
OTHERS = 0o077  # what nobody else may, of anything in a home but the copy for readers and the status pages
_FOLDERS = (
    "backups",
    "cache",
    "dlt",
    "incoming",
    "ledger",
    "logs",
    "outbox",
    "promotions",
    "quarantine",
    "replaced",
    "shopify",
)
_FILES = ("*.duckdb", "*.duckdb.wal", "*.json", "*.lock")


def keep_process_private() -> None:
    """What this process and its children write is for their owner; no memory of theirs is ever written to a disk."""
    os.umask(OTHERS)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def make_home(home: Path) -> None:
    """Make a home that others may pass through; one that is there is kept.

    Raises:
        OSError: it cannot be made.
    """
    if not home.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(HOME)


def close_home(home: Path) -> None:
    """Take from others what they may see of a home that was made without care; what is another user's stays."""
    for path, mode in open_to_others(home):
        with suppress(OSError):
            path.chmod(mode)


def open_to_others(home: Path) -> Iterator[tuple[Path, int]]:
    """What of a home others may see and should not, with the mode that it should have. Folders are not looked into:
    nobody comes past one that is closed."""
    if not home.is_dir():
        return
    allowed = {home: HOME, home / "readers": 0o750, **{home / name: 0o700 for name in _FOLDERS}}
    allowed |= {path: 0o600 for pattern in _FILES for path in home.glob(pattern)}
    for path, most in allowed.items():
        with suppress(OSError):
            mode = path.lstat().st_mode
            if not path.is_symlink() and mode & OTHERS & ~most:
                yield path, mode & 0o7777 & (most | 0o700)
