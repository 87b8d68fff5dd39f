"""Sends events beside the work: an end that does not answer costs a run a few seconds at most, once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from insightmart.settings import Settings

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

    from insightmart.openlineage.run_events import Event

TIMEOUT = 3.0  # seconds in which one event has to be taken
PATIENCE = 5.0  # seconds that a run waits at its end for the events to be taken
ENDPOINT = "api/v1/lineage"


class Delivery:
    """Events on their way, in order, in a thread of their own. The first one that is not taken ends it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: queue.Queue[Event | None] = queue.Queue()
        self._failure: str | None = None
        self._is_given_up = False
        self._thread = threading.Thread(target=self._work, name="openlineage", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Why nothing is sent any more; None while all is well."""
        return self._failure

    def put(self, events: Iterable[Event]) -> None:
        """Send events after those before them; returns at once."""
        for event in events:
            self._waiting.put(event)

    def finish(self) -> str | None:
        """Wait for the events to be taken, but not for long. Returns why they were not, None if they were."""
        self._waiting.put(None)
        self._thread.join(0 if self._failure else PATIENCE)
        if self._thread.is_alive() and not self._failure:
            self._failure = f"{_place(self._settings)} took too long"
        self._is_given_up = True
        return self._failure

    def _work(self) -> None:
        client: OpenLineageClient | None = None
        while (event := self._waiting.get()) is not None:
            if self._failure or self._is_given_up:
                continue
            try:
                client = client or _client(self._settings)
                client.emit(event)
            except Exception as error:  # noqa: BLE001 whatever it is, the run has nothing to do with it
                self._failure = f"{_place(self._settings)}: {_reason(error)}"
        if client is not None:
            with suppress(Exception):
                client.close(0)


def _client(settings: Settings) -> OpenLineageClient:
    from openlineage.client import OpenLineageClient

    return OpenLineageClient(config={"transport": transport(settings)})


def transport(settings: Settings) -> dict[str, Any]:
    """What the client is told of where events go, as its own configuration has it."""
    assert settings.openlineage_url is not None
    url = settings.openlineage_url.get_secret_value().strip()
    if not url.lower().startswith(("http://", "https://")):
        path = url if url.lower().startswith("file://") else str(Path(url).expanduser().resolve())
        return {"type": "file", "log_file_path": path, "append": True}
    told: dict[str, Any] = {
        "type": "http",
        "url": f"{url.rstrip('/').removesuffix(ENDPOINT).rstrip('/')}/",
        "endpoint": ENDPOINT,
        "timeout": TIMEOUT,
        "retry": {"total": 0, "connect": 0, "read": 0},
    }
    if settings.openlineage_api_key:
        told["auth"] = {"type": "api_key", "apiKey": settings.openlineage_api_key.get_secret_value()}
    return told


def _place(settings: Settings) -> str:
    """Where events go, without a user or a password."""
    assert settings.openlineage_url is not None
    url = settings.openlineage_url.get_secret_value()
    return urlsplit(url).hostname or url if "://" in url and not url.startswith("file") else url


def _reason(error: BaseException) -> str:
    """What went wrong, without what was sent and where to."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    inner = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(inner, Exception):  # of a connection, without what it was for
        return type(inner).__name__
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else None
    return f"{type(error).__name__}{f' ({cause.strerror})' if cause and cause.strerror else ''}"
