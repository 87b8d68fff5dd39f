"""Runs the checks: the remote ones side by side, and no check's failure keeps another from running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from insightmart.console_tables import without_control
from insightmart.doctor.findings import Check, Finding, Flaw
from insightmart.doctor.local import LOCAL
from insightmart.doctor.remote import REMOTE as SOURCES
from insightmart.doctor.writer import STATE
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.hidden_secrets import without_secrets
from insightmart.settings import Settings

REMOTE = SOURCES | STATE
CHECKS = (*LOCAL, *REMOTE)
GIVEN_UP_AFTER = 12.0  # seconds after which a check that hangs in spite of its own time-outs is left alone


def examine(settings: Settings, names: Sequence[str] = ()) -> list[Finding]:
    """Run the checks, the remote ones side by side. No check's failure keeps another from running.

    Args:
        settings: as ``load_settings`` gives them.
        names: only these checks, out of ``CHECKS``; none for all.
    """
    remote = {name: check for name, check in REMOTE.items() if name in (names or REMOTE)}
    local = {name: check for name, check in LOCAL.items() if name in (names or LOCAL)}
    with _side_by_side(remote, settings) as answers:
        found = [_run(name, check, settings) for name, check in local.items()]
    return [*found, *answers()]


def _run(name: str, check: Check, settings: Settings) -> Finding:
    try:
        return Finding(name, "ok", _masked(check(settings), settings))
    except Flaw as failure:
        return Finding(name, failure.status, _masked(failure.detail, settings), failure.cure)
    except ConfigurationError as error:
        return Finding(name, "not configured", _masked(error.cause, settings), error.cure)
    except InsightMartError as error:
        return Finding(name, "failed", _masked(error.cause, settings), error.cure)
    except Exception as error:  # noqa: BLE001 a check that breaks is a finding as well, and the others still run
        detail = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return Finding(name, "failed", _masked(detail, settings), "Run again with --debug, or report it")


@contextmanager
def _side_by_side(checks: dict[str, Check], settings: Settings) -> Iterator[Callable[[], list[Finding]]]:
    """Start checks in threads; the result collects their findings and gives up on those that hang."""
    findings: dict[str, Finding] = {}

    def work(name: str, check: Check) -> None:
        findings[name] = _run(name, check, settings)

    threads = {
        name: threading.Thread(target=work, args=(name, check), name=name, daemon=True)
        for name, check in checks.items()
    }
    for thread in threads.values():
        thread.start()

    def collect() -> list[Finding]:
        for thread in threads.values():
            thread.join(GIVEN_UP_AFTER)
        cure = "Check the network and the name of the host"
        return [findings.get(name) or Finding(name, "failed", "no answer", cure) for name in threads]

    yield collect


def _masked(text: str, settings: Settings) -> str:
    return without_control(without_secrets(text, settings))
