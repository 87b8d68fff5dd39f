"""A page on the disk: a reader sees the old one or the new one, never half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from insightmart.errors import InsightMartError


def replace_page(target: Path, text: str, mode: int = 0o644) -> Path:
    """Write a page all at once, and the folders it lies in.

    Args:
        target: the page.
        text: what is in it.
        mode: who may read it; status pages are for everybody.

    Raises:
        InsightMartError: the folder cannot be written.
    """
    try:
        missing = [folder for folder in target.parents if not folder.is_dir()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode | (mode & 0o444) >> 2)  # whoever may read a page may come to it
        _write(target, text, mode)
    except OSError as error:
        raise InsightMartError(
            f"{target} cannot be written: {error.strerror}", "Choose a folder you may write to (--out)"
        ) from None
    return target


def _write(target: Path, text: str, mode: int) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".index-", suffix=".html")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
