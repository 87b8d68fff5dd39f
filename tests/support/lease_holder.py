"""A writer for tests: holds the lock, and writes a line a hundredth of a second as long as it lives.

    python -m tests.support.lease_holder NAME FILE SPEED [stuck]

The lines go to FILE: NAME and nothing else. It says ``holds`` on standard output when it has the lock, gives it back
when its input ends, and ends with exit code and message of the command line where it is refused. The bounds of the
lease are a SPEED-th of what they are. The lease is held as if other machines could reach the file of DuckDB: nothing
is left of anybody there, but one who is ``stuck`` waits for that for ever, and says ``waits``. SIGUSR1 does to the
clock of the lease what a sleep of the machine does: it is a minute later at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from insightmart import lease, lock
from insightmart.errors import InsightMartError
from insightmart.lock import writer_lock
from insightmart.logs import configure_logging
from insightmart.settings import load_settings

BOUNDS = ("BEAT", "ANSWER", "ENDED", "KILLED", "QUIET", "LOOK")


def main() -> None:
    name, file, speed, *is_stuck = sys.argv[1:]
    lock.is_shared = lambda _: True
    if is_stuck:
        lease.stop_what_is_left = lambda *_: (print("waits", flush=True), threading.Event().wait())  # type: ignore[assignment, misc, return-value]
    configure_logging()
    for bound in BOUNDS:
        setattr(lease, bound, getattr(lease, bound) / float(speed))
    slept: list[float] = []
    lease.now = lambda: time.clock_gettime(time.CLOCK_BOOTTIME) + sum(slept)
    signal.signal(signal.SIGUSR1, lambda *_: slept.append(60.0))
    line = f"{name}\n".encode()
    written = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
    try:
        with writer_lock(load_settings(), "cycle"):
            print("holds", flush=True)
            os.write(written, line)
            while not done.wait(0.01):
                os.write(written, line)
    except InsightMartError as error:
        print(f"insightmart: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
