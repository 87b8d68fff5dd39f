"""Run a command and note what it used: ``python launched.py FILE COMMAND ...``, a process of its own that holds little.

A process counts for its peak of memory what its parent held when it was started; started from here, that is next to
nothing. Imports nothing of ours, nor anything that is not in Python.
"""

import json
import os
import subprocess
import sys


def main() -> int:
    """Run the command to its end; its exit code."""
    child = subprocess.Popen(sys.argv[2:])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    with open(sys.argv[1], "w", encoding="utf-8") as file:  # noqa: PTH123  pathlib is an import more
        json.dump({"seconds": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * 1024}, file)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
