"""What is to be delivered, kept until somebody has taken it: one file a message, for its owner alone.

Where KEPT_URL is set each message is there as well: it outlives the disk. A bucket that does not answer loses nothing
and delays nothing; a message that could not be deleted there may come twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from ingestion.clock import utc_now
from insightmart.errors import InsightMartError
from insightmart.kept_place import KeptPlace

KEPT_FOR = timedelta(days=7)  # what nobody took by then is put aside: it is no news any more


class Parcel(BaseModel):
    """A message on its way: a mail with the addresses it still goes to, or a text for chat or paging.

    Attributes:
        name: the same for the same message, of ``a-z0-9-``: put in twice, it goes out once.
        put_at: when it was put in, UTC, of the real clock.
        mail: the message as it is sent, with all its headers; None for one to a chat.
        recipients: its envelope addresses.
        channel: name of the variable that holds the address of a chat.
        title: what a chat shows above ``text``.
        text: the message of a chat.
        level: note, warning, bad or good, for its colour.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    put_at: datetime
    mail: str | None = None
    recipients: list[str] = []
    channel: str | None = None
    title: str = ""
    text: str = ""
    level: str = "note"


FOLDER, ASIDE = "outbox", "undeliverable"


class Outbox:
    """The folder ``outbox`` of a home. Its files are named by when they were put in, and so in order.

    Args:
        home: its home.
        place: where the messages are kept as well.

    Attributes:
        trouble: why something could not be kept, or forgotten, there; nothing else is asked of it then.
        spoilt: names of files that held no message, and have been put aside.
    """

    def __init__(self, home: Path, place: KeptPlace | None = None) -> None:
        self.folder = home / FOLDER
        self.aside = self.folder / ASIDE
        self.trouble: InsightMartError | None = None
        self.spoilt: list[str] = []
        self._place = place

    def put(self, parcels: list[Parcel]) -> None:
        """Keep messages until they are taken.

        Raises:
            OSError: the folder cannot be written.
        """
        if not parcels:
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.bring()
        there = {path.name.partition("_")[2] for path in self.waiting()}
        for number, parcel in enumerate(parcels):
            name = f"{re.sub(r'[^a-z0-9-]+', '-', parcel.name.lower())}.json"
            if name not in there:
                self._write(self.folder / f"{parcel.put_at:%Y%m%dT%H%M%S%f}-{number:03}_{name}", parcel)

    def bring(self) -> None:
        """Fetch what waits in the bucket alone, since another disk is gone, and put there what waits here alone."""

        def both_ways(place: KeptPlace) -> None:
            names = (name.removeprefix(f"{FOLDER}/") for name in place.sizes(f"{FOLDER}/"))
            there = {name for name in names if re.fullmatch(r"[\w-]+\.json", name, re.ASCII)}
            here = {path.name for path in self.waiting()}
            for name in sorted(there - here):
                if (text := place.read(f"{FOLDER}/{name}")) is not None:
                    self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                    _write(self.folder / name, text)
            for name in sorted(here - there):
                place.put(f"{FOLDER}/{name}", (self.folder / name).read_bytes())

        self._there(both_ways)

    def waiting(self) -> list[Path]:
        """Files of what waits, the oldest first."""
        return sorted(self.folder.glob("*.json"))

    def read(self, path: Path) -> Parcel | None:
        """A message; None when the file holds none, or is too old to be news: it has been put aside."""
        try:
            parcel = Parcel.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError):
            self.spoilt.append(path.name)
            self.put_aside(path)
            return None
        if utc_now() - parcel.put_at > KEPT_FOR:
            self.put_aside(path)
            return None
        return parcel

    def keep_for(self, path: Path, recipients: list[str]) -> None:
        """Keep a mail for those of its recipients who have not got it yet."""
        parcel = Parcel.model_validate_json(path.read_text(encoding="utf-8"))
        self._write(path, parcel.model_copy(update={"recipients": recipients}))

    def taken(self, path: Path) -> None:
        """Forget a message that was delivered."""
        path.unlink(missing_ok=True)
        self._there(lambda place: place.forget(f"{FOLDER}/{path.name}"))

    def put_aside(self, path: Path) -> None:
        """Keep a message that nobody will ever take, for somebody to look at."""
        self.aside.mkdir(exist_ok=True, mode=0o700)
        aside = path.replace(self.aside / path.name)
        self._there(lambda place: place.put(f"{FOLDER}/{ASIDE}/{path.name}", aside.read_bytes()))
        self._there(lambda place: place.forget(f"{FOLDER}/{path.name}"))

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether no other process is delivering meanwhile: a message goes out once."""
        if not self.folder.is_dir():
            yield True
            return
        lock = FileLock(self.folder / ".lock", mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _write(self, path: Path, parcel: Parcel) -> None:
        text = parcel.model_dump_json().encode()
        _write(path, text)
        self._there(lambda place: place.put(f"{FOLDER}/{path.name}", text))

    def _there(self, work: Callable[[KeptPlace], None]) -> None:
        """Do something in the bucket; nothing where there is none, or it did not answer before."""
        if self._place is not None and self.trouble is None:
            try:
                work(self._place)
            except InsightMartError as error:
                self.trouble = error
            except OSError as error:
                self.trouble = InsightMartError(f"{self.folder}: {error.strerror}", "Give the user write access to it")


def _write(path: Path, text: bytes) -> None:
    scratch = path.with_suffix(".part")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(text)
    scratch.replace(path)
