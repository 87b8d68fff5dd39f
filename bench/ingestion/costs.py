"""What a piece of work costs: seconds, CPU seconds, and the peak of the memory of the process that does it."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Cost:
    """What one run took. ``cpu_seconds`` and ``peak_bytes`` (resident) are of the measured process alone."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


class CommandFailed(Exception):
    """A measured command ended with an error; the text is what it said last."""


def cost_of(work: Callable[[], object]) -> Cost:
    """Do some work in this process. The peak is that of the process since it began: give each work one of its own."""
    cpu, started = time.process_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - started, time.process_time() - cpu, _peak_bytes())


def in_child(work: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """The result of a function that is run in a fresh process of its own, so that memory does not mix."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"), initializer=_be_a_script) as pool:
        return pool.submit(work, *args, **kwargs).result()


def cost_of_command(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Cost:
    """Run a command from its start to its end; what it prints on standard output is thrown away.

    Raises:
        CommandFailed: it ended with another code than 0.
    """
    with log.open("wb") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise CommandFailed(f"{Path(command[0]).name} ended with {process.returncode}: {' / '.join(lines[-3:])}")
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def _be_a_script() -> None:
    """A main program without a file is an interactive session to DuckDB, which then draws progress bars."""
    sys.modules["__main__"].__file__ = __file__


def _peak_bytes() -> int:
    """This program's peak of resident memory; getrusage alone would count what its parent had before starting it."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
