"""Commands of the pipeline in processes of their own that begin at once: forked off one that has imported everything.

As a server, ``python -m tests.faults.forked``, it reads a JSON object a line: ``environment``, ``arguments`` of
``insightmart``, ``output`` (a file) and ``kill_before`` (the number of the statement to DuckDB before which the process
is killed; null: it ends by itself). It answers each with the exit code, minus the signal where it was one.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil

PATIENCE = 900  # seconds; a command that takes longer hangs
IMPORTED = (
    "boto3.s3.transfer",
    "dateparser",
    "google.protobuf.message",
    "ingestion.postgres.source",
    "ingestion.shopify.source",
    "ingestion.stores.source",
    "insightmart.commands.cycle",
    "insightmart.gate.known_checks",
    "insightmart.openlineage.emission",
    "insightmart.pages.site",
    "insightmart.transform.transformer",
    "snowflake.connector",
    "sqlmesh.cli.main",
    "sqlmesh.magics",
)


class Commands:
    """Runs ``insightmart`` of the code in a folder; use it in a ``with`` block.

    Args:
        code: the root of the project, of which the commands, the models and the checks are taken.
    """

    def __init__(self, code: Path) -> None:
        self.code = code

    def __enter__(self) -> Commands:
        environment = {**os.environ, "PYTHONPATH": str(self.code), "MAX_FORK_WORKERS": "1"}
        command = [sys.executable, "-m", "tests.faults.forked"]
        self._server = subprocess.Popen(
            command, cwd=self.code, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._output = tempfile.NamedTemporaryFile(prefix="forked-", suffix=".txt")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.terminate()
        self._server.wait(timeout=30)
        self._output.close()

    def run(self, environment: Mapping[str, str], *arguments: str, kill_before: int | None = None) -> tuple[int, str]:
        """The exit code of a command, and the end of what it said.

        Raises:
            RuntimeError: it hangs.
        """
        assert self._server.stdin
        assert self._server.stdout
        asked = {"environment": dict(environment), "arguments": arguments, "output": self._output.name}
        self._server.stdin.write(json.dumps(asked | {"kill_before": kill_before}) + "\n")
        self._server.stdin.flush()
        if not select.select([self._server.stdout], [], [], PATIENCE)[0]:
            for process in psutil.Process(self._server.pid).children(recursive=True):
                process.kill()
            raise RuntimeError(f"insightmart {' '.join(arguments)} hangs")
        code = int(self._server.stdout.readline())
        said = Path(self._output.name).read_text(encoding="utf-8", errors="replace")
        return code, " | ".join(said.strip().splitlines()[-4:])[:600]

    def seconds(self) -> float:
        """Processor time of all commands so far."""
        times = psutil.Process(self._server.pid).cpu_times()
        return float(times.children_user + times.children_system)


@contextmanager
def several(code: Path, number: int) -> Iterator[Callable[..., tuple[int, str]]]:
    """Runs as many commands at once, for as many threads: it is called as ``Commands.run`` is."""
    with ExitStack() as stack:
        idle: SimpleQueue[Commands] = SimpleQueue()
        for _ in range(number):
            idle.put(stack.enter_context(Commands(code)))

        def run(environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
            commands = idle.get()
            try:
                return commands.run(environment, *arguments)
            finally:
                idle.put(commands)

        yield run


def _run(environment: dict[str, str], arguments: list[str], output: str, kill_before: int | None) -> int:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    if kill_before is not None:
        from tests.faults.watched import kill

        kill(kill_before)
    sys.argv = ["insightmart", *arguments]
    from insightmart.cli import main as insightmart

    insightmart()
    return 0


def _import_everything() -> None:
    """What a cycle imports on its way, most of its first second."""
    for name in IMPORTED:
        import_module(name)


def _serve() -> None:
    _import_everything()
    told = sys.stdout
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            code: object = 1
            try:
                code = _run(**asked)
            except SystemExit as ended:
                code = ended.code or 0
            except BaseException:  # noqa: BLE001 - this process is a copy: nothing above may go on in it
                traceback.print_exc()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code if isinstance(code, int) else 1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=told, flush=True)


if __name__ == "__main__":
    _serve()
