"""The log lines of a command at KEPT_URL, when it has ended: the disk of the home may be gone with it."""

from __future__ import annotations

import secrets

from ingestion.clock import utc_now
from insightmart.errors import InsightMartError
from insightmart.kept_place import kept_place
from insightmart.logs import collected_lines
from insightmart.progress import console
from insightmart.settings import Settings

FOLDER = "logs"


def put_log(settings: Settings, command: str) -> None:
    """Put the lines of this command under the day it ended on. What keeps them from there is said, and fails nothing.

    Args:
        settings: say where.
        command: its name, one of ours.
    """
    lines, place = collected_lines(), kept_place(settings)
    if place is None or not lines:
        return
    name = f"{FOLDER}/{utc_now():%Y/%m/%d/%H%M%S}-{command}-{secrets.token_hex(4)}.jsonl"
    try:
        place.put(name, "".join(f"{line}\n" for line in lines).encode())
    except InsightMartError as error:
        console.print(f"the log of this command is in the home alone: {error}", markup=False, style="yellow")
