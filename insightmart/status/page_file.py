"""A page on the disk: a reader sees the old one or the new one, never half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from insightmart.errors import InsightMartError


def replace_page(target: Path, text: str) -> Path:
    """Write a page all at once, and the folder it lies in.

    Raises:
        InsightMartError: the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, text)
    except OSError as error:
        raise InsightMartError(
            f"{target} cannot be written: {error.strerror}", "Choose a folder you may write to (--out)"
        ) from None
    return target


def _write(target: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".index-", suffix=".html")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
