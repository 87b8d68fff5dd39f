"""Runs a command of the pipeline and kills it before a statement: ``python -m tests.faults.killed_before NUMBER ...``.

Statements are counted over all connections to DuckDB of the process; a command with fewer of them ends as it would.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

from tests.faults.watched import watch


def main() -> None:
    number, *arguments = sys.argv[1:]
    counted = count(1)

    def point(statement: str) -> None:
        if next(counted) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    watch(point)
    sys.argv = ["insightmart", *arguments]
    from insightmart.cli import main as insightmart

    insightmart()


if __name__ == "__main__":
    main()
