"""What a check says, and what an examination comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from insightmart.errors import DONE, FAILED, USAGE
from insightmart.settings import Settings


@dataclass(frozen=True)
class Finding:
    """What a check found: ``ok``, ``note`` (works, worth knowing), ``failed`` or ``not configured``."""

    check: str
    status: str
    detail: str
    cure: str = ""


class Flaw(Exception):
    """A check's own verdict: what is wrong and what to do."""

    def __init__(self, detail: str, cure: str, status: str = "failed") -> None:
        super().__init__(detail)
        self.detail = detail
        self.cure = cure
        self.status = status


Check = Callable[[Settings], str]


def exit_code(findings: Sequence[Finding]) -> int:
    """0 all fine, 1 something failed, 2 a setting is missing or unusable."""
    statuses = {finding.status for finding in findings}
    if "not configured" in statuses:
        return USAGE
    return FAILED if "failed" in statuses else DONE
