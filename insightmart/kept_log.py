"""The log lines of a command at KEPT_URL, when it has ended: the disk of the home may be gone with it."""

from __future__ import annotations

import fcntl
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ingestion.clock import utc_now
from insightmart.errors import InsightMartError
from insightmart.kept_place import KeptPlace, kept_place
from insightmart.logs import FILE_BYTES, UNPUT, collected_lines, forget_unput, unput_file, unput_files
from insightmart.progress import console
from insightmart.settings import Settings

FOLDER = "logs"
AT_ONCE = 20  # files of others that a command puts


def put_log(settings: Settings, command: str) -> None:
    """Put the lines of this command under the day it ended on, then those of commands of this home that could not put
    their own: they were killed, or the bucket was silent. What keeps them from there is said, and fails nothing.

    Args:
        settings: say where.
        command: its name, one of ours.
    """
    place = kept_place(settings)
    if place is None:
        return
    try:
        if lines := collected_lines():
            own = unput_file() or Path(f"{command}-{secrets.token_hex(4)}")
            place.put(_name(own), "".join(f"{line}\n" for line in lines).encode())
            forget_unput()
        for file in unput_files(settings.home / UNPUT)[:AT_ONCE]:
            with suppress(OSError):
                _put_of_another(place, file)
    except InsightMartError as error:
        console.print(f"the log of this command is in the home alone: {error}", markup=False, style="yellow")


def _put_of_another(place: KeptPlace, file: Path) -> None:
    with file.open("r+b") as left:
        try:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # of a command at work
            return
        left.seek(max(0, file.stat().st_size - FILE_BYTES))
        if content := left.read():
            place.put(_name(file), content)
        file.unlink(missing_ok=True)


def _name(file: Path) -> str:
    """The second of its last line, and its own name: the same whoever puts it, and how often."""
    ended = utc_now()
    with suppress(OSError):  # there is none where there is no home
        ended = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return f"{FOLDER}/{ended:%Y/%m/%d/%H%M%S}-{file.stem}.jsonl"
