"""What this machine refuses is said with its cure; what nobody expected stays unexpected."""

from __future__ import annotations

import errno
from pathlib import Path

import duckdb
import pytest

from insightmart.errors import of_this_machine
from insightmart.runs import ProblemKind, RunProblem


@pytest.mark.parametrize(
    ("error", "cause", "cure"),
    [
        (OSError(errno.EACCES, "", "/var/x"), "/var/x: Permission denied", "the right to read and write them"),
        (OSError(errno.ENOSPC, ""), "what is to be written: No space left on device", "Make room on that disk"),
        (duckdb.IOException("IO Error: Cannot open file: Permission denied"), "IO Error: Cannot open", "chown -R"),
        (duckdb.OutOfMemoryException("Out of Memory Error: no block"), "Out of Memory Error", "more memory"),
        (MemoryError(), "there is no memory left", "more memory"),
    ],
)
def test_what_this_machine_refuses_has_a_cure(error: BaseException, cause: str, cure: str) -> None:
    told = of_this_machine(error)
    assert told is not None
    assert told.cause.startswith(cause)
    assert cure in told.cure


@pytest.mark.parametrize("error", [OSError("no number"), ConnectionResetError(errno.ECONNRESET, ""), KeyError("a")])
def test_anything_else_is_unexpected(error: BaseException) -> None:
    assert of_this_machine(error) is None


def test_a_problem_says_the_same(tmp_path: Path) -> None:
    refused = RunProblem.of_error(ProblemKind.COMMAND, "cycle", PermissionError(errno.EACCES, "", str(tmp_path)))
    assert (refused.message, "chown -R" in refused.cure) == (f"{tmp_path}: Permission denied", True)
    assert RunProblem.of_error(ProblemKind.COMMAND, "cycle", KeyboardInterrupt()).message == "it was interrupted"
