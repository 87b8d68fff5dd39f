"""One logger for everything: structured lines, without secrets, for people on standard error and as JSON in a file.

The file, HOME/logs/insightmart.jsonl, has one JSON object a line: what a command was, each of its steps with how it
ended and how many seconds it took, and everything that is logged, also what the terminal shows with --debug alone.
Where KEPT_URL is set the lines of a command are put there as well when it ends (``insightmart.kept_log``). Until they
are there they stand in a file of their own, HOME/logs/unput/COMMAND-...jsonl, so that the next command of the home puts
those of one that was killed.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from insightmart.hidden_secrets import without_secrets
from insightmart.runs import run_under_way

FILE_BYTES, FILES_KEPT = 10 * 2**20, 9  # ten files of ten megabytes: some months of hourly cycles
LINES_COLLECTED = 20_000  # a cycle has some hundred
UNPUT = "logs/unput"  # below the home
UNPUT_KEPT = 200  # files, where the bucket is silent for days; the lines are in the home's own file as well

_TEXTS = (str, dict, list, tuple)
_QUIET = (
    "openlineage",
    "soda",
    "dlt",
    "sqlmesh",
    "botocore",
    "boto3",
    "urllib3",
    "snowflake",
    "httpx",
    "httpcore",
    "filelock",
    "asyncio",
)


class _KeptLines(RotatingFileHandler):
    """A file that only its owner may read, and that may be lost: a log that cannot be written stops nobody."""

    def _open(self) -> Any:
        file = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(file, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: the disk is full, or the folder is gone."""


class _MadeAnew(logging.Handler):
    """What SQLMesh's cache says of a file that it cannot read, once a process: nothing of it is needed."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setLevel(logging.CRITICAL)
        first = record.args[0] if isinstance(record.args, tuple) and record.args else record.getMessage()
        structlog.get_logger().warning("files of the cache cannot be read and are made anew", first=str(first))


_kept: _KeptLines | None = None
_lines: deque[str] | None = None  # of this process, where they are to be put somewhere else as well
_unput: tuple[Path, int] | None = None  # the file that they stand in until then, which is locked while it is written
_put: Callable[[], None] | None = None


def configure_logging(debug: bool = False) -> None:
    """Send our own lines to standard error; the libraries' lines only with `debug`."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.CRITICAL, stream=sys.stderr, force=True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_WithoutSecrets(logging.BASIC_FORMAT))
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.INFO if debug else logging.CRITICAL)
    cache = logging.getLogger("sqlmesh.utils.cache")
    cache.handlers, cache.propagate = [_MadeAnew(logging.WARNING)], False
    cache.setLevel(logging.WARNING)
    level = logging.DEBUG if debug else logging.INFO

    def shown(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if getattr(logging, method.upper(), logging.INFO) < level:
            raise structlog.DropEvent
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_secrets,
            _keep,
            shown,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def keep_log(home: Path | None, *, put_as: str = "") -> None:
    """Keep the lines of this process in a file below the home as well; one that is not there gets none, None too.

    Args:
        home: the home.
        put_as: a name; the last of them are kept for ``collected_lines`` too, and in a file of that name until
            ``forget_unput``.
    """
    global _kept, _lines, _unput
    _lines = deque(maxlen=LINES_COLLECTED) if put_as else None
    if _kept is not None:
        _kept.close()
        _kept = None
    if _unput is not None:
        os.close(_unput[1])
        _unput = None
    with suppress(OSError):
        if home and home.is_dir():
            (home / "logs").mkdir(mode=0o700, exist_ok=True)
            _kept = _KeptLines(home / "logs" / "insightmart.jsonl", maxBytes=0, backupCount=FILES_KEPT, delay=True)
            if put_as:
                _unput = _opened(home / UNPUT, f"{put_as}-{secrets.token_hex(4)}")


def _opened(folder: Path, name: str) -> tuple[Path, int]:
    """A file that nobody takes for one of a command that has died; older ones make room."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for old in unput_files(folder)[:-UNPUT_KEPT]:
        old.unlink(missing_ok=True)
    made = folder / f"{name}.part"
    file = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return made.rename(folder / f"{name}.jsonl"), file


def unput_files(folder: Path) -> list[Path]:
    """Files of lines that were not put anywhere else yet, the oldest first; those of commands at work among them."""
    ages = {}
    for file in folder.glob("*.jsonl"):
        with suppress(OSError):  # another command has just put it
            ages[file] = file.stat().st_mtime
    return sorted(ages, key=lambda file: ages[file])


def collected_lines() -> list[str]:
    """The lines of this process so far, the last ones; none where they are not collected."""
    return list(_lines or ())


def unput_file() -> Path | None:
    """Where they stand; None: nowhere."""
    return _unput[0] if _unput else None


def forget_unput() -> None:
    """They are put."""
    if _unput is not None:
        with suppress(OSError):
            _unput[0].unlink(missing_ok=True)


def put_with(put: Callable[[], None]) -> None:
    """Say what puts the lines of this process."""
    global _put
    _put = put


def put_within(seconds: float) -> None:
    """Put them now, for one who ends the process in a moment; what takes longer is left to the next command."""
    if _put is not None and seconds > 0:
        putting = threading.Thread(target=_put, daemon=True)
        putting.start()
        putting.join(seconds)


def turn_over() -> None:
    """Begin a new file if this one is full. For the holder of the writer's lock alone: two would lose lines."""
    if _kept is None:
        return
    with suppress(OSError):
        if Path(_kept.baseFilename).stat().st_size >= FILE_BYTES:
            _kept.doRollover()


def kept(event: str, **fields: Any) -> None:
    """A line for the file alone: the terminal has it in another form."""
    if _kept is not None or _lines is not None:
        line: MutableMapping[str, Any] = {"event": event, "level": "debug", **fields}
        line = structlog.processors.TimeStamper(fmt="iso", utc=True)(None, "debug", line)
        _keep(None, "debug", _without_secrets(None, "debug", line))


def _keep(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _kept is not None or _lines is not None:
        line = {"timestamp": event.get("timestamp"), "run": run_under_way(), "process": os.getpid(), **event}
        text = json.dumps({name: value for name, value in line.items() if value is not None}, default=str)
        if _kept is not None:
            _kept.handle(logging.LogRecord("insightmart", logging.INFO, "", 0, text, None, None))
        if _lines is not None:
            _lines.append(text)
        if _unput is not None:
            with suppress(OSError):
                os.write(_unput[1], f"{text}\n".encode())
    return event


@contextmanager
def silenced(library: str) -> Iterator[None]:
    """Nothing of a library's log, at any level: it would show an address that is a secret."""
    logger = logging.getLogger(library)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        is_plain = value is None or isinstance(value, int | float)
        event[key] = value if is_plain else without_secrets(value if isinstance(value, _TEXTS) else str(value))
    return event


class _WithoutSecrets(logging.Formatter):
    """Lines of libraries, which may show what they send."""

    def format(self, record: logging.LogRecord) -> str:
        return str(without_secrets(super().format(record)))


def show_tracebacks_without_secrets() -> None:
    """What ends this process or a thread of it unexpectedly is shown as Python does, but for secrets."""

    def shown(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))

    def shown_of_thread(found: threading.ExceptHookArgs) -> None:
        shown(found.exc_type, found.exc_value, found.exc_traceback)

    sys.excepthook, threading.excepthook = shown, shown_of_thread
