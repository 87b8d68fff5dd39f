"""Commands in processes of their own that begin at once: forked off one that has imported everything.

Each has an environment, a folder, streams and an end of its own, as a process that was started has; only what it would
import is there already, which is most of its first two seconds.

As a server, ``python -m tests.support.forked``, it reads a JSON object a line: ``program``, ``arguments``,
``environment``, ``folder``, ``output`` and ``errors`` (files; the same one: as they come) and ``kill_before`` (the
number of the statement to DuckDB before which the process is killed; null: it ends by itself). It answers each with the
exit code, minus the signal where it was one.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 900  # seconds; a command that takes longer hangs
PROGRAMS = {
    "insightmart": "insightmart.cli:main",
    "killed_cycle": "tests.support.killed_cycle:main",
    "sandbox": "sandbox.__main__:main",
    "sqlmesh": "sqlmesh.cli.main:cli",
}
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
    "sandbox.publish",
    "sandbox.servers.services",
    "sandbox.truth.certified",
    "snowflake.connector",
    "sqlmesh.cli.main",
    "sqlmesh.magics",
)


class Commands:
    """Runs programs of the code in a folder, one after the other; use it in a ``with`` block.

    Args:
        code: the root of the project, of which the commands, the models and the checks are taken.
    """

    def __init__(self, code: Path) -> None:
        self.code = code
        self._turn = threading.Lock()

    def __enter__(self) -> Commands:
        # Of ours only what finds and loads: packages look at others when they are imported, for all commands to come.
        environment = {name: value for name, value in os.environ.items() if name.startswith(("LD_", "PYTHON"))}
        environment |= {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}
        environment |= {"PYTHONPATH": str(self.code), "MAX_FORK_WORKERS": "1"}
        command = [sys.executable, "-m", "tests.support.forked"]
        self._server = subprocess.Popen(
            command, cwd=self.code, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._output = tempfile.NamedTemporaryFile(prefix="forked-", suffix=".txt")
        self._errors = tempfile.NamedTemporaryFile(prefix="forked-", suffix=".txt")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.terminate()
        self._server.wait(timeout=30)
        self._output.close()
        self._errors.close()

    def run(self, environment: Mapping[str, str], *arguments: str, kill_before: int | None = None) -> tuple[int, str]:
        """The exit code of a command of ``insightmart``, and the end of what it said.

        Raises:
            TimeoutExpired: it hangs.
        """
        asked = {"program": "insightmart", "arguments": arguments, "environment": dict(environment)}
        here = {"folder": str(self.code), "output": self._output.name, "errors": self._output.name}
        with self._turn:
            code = self._ask({**asked, **here, "kill_before": kill_before}, PATIENCE)
            said = Path(self._output.name).read_text(encoding="utf-8", errors="replace")
        return code, " | ".join(said.strip().splitlines()[-4:])[:600]

    def call(
        self, program: str, *arguments: str, environment: Mapping[str, str], seconds: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """What ``subprocess.run`` gives of one of the ``PROGRAMS``, or of ``python -c TEXT``.

        Raises:
            TimeoutExpired: it hangs.
        """
        asked = {"program": program, "arguments": arguments, "environment": dict(environment)}
        here = {"folder": str(self.code), "output": self._output.name, "errors": self._errors.name}
        with self._turn:
            code = self._ask({**asked, **here, "kill_before": None}, seconds)
            said = [Path(file.name).read_text(encoding="utf-8") for file in (self._output, self._errors)]
        return subprocess.CompletedProcess([program, *arguments], code, *said)

    def _ask(self, asked: Mapping[str, Any], seconds: float) -> int:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        is_over = bool(select.select([self._server.stdout], [], [], seconds)[0])
        if not is_over:
            for process in psutil.Process(self._server.pid).children(recursive=True):
                process.kill()
        answer = self._server.stdout.readline()
        if not answer:
            raise RuntimeError("the process that forks commands has ended; what it said is on standard error")
        code = int(answer)
        if not is_over:
            raise subprocess.TimeoutExpired([asked["program"], *asked["arguments"]], seconds)
        return code

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


@cache
def commands() -> Commands:
    """Commands of the repository, for all tests of this process; what forks them is there until it ends."""
    opened = Commands(PROJECT)
    atexit.register(opened.__enter__().__exit__)
    return opened


def _begin(program: str, arguments: list[str]) -> None:
    sys.modules["__main__"].__package__ = None  # by which click says what was called
    if program == "python":
        flag, text, *rest = arguments
        assert flag == "-c"
        sys.argv = [flag, *rest]
        exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})
        return
    module, _, name = PROGRAMS[program].partition(":")
    sys.argv = [program, *arguments]
    getattr(import_module(module), name)()


def _run(
    program: str,
    arguments: list[str],
    environment: dict[str, str],
    folder: str,
    output: str,
    errors: str,
    kill_before: int | None,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # sys.stdin has read all of the line that was asked
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(written, 1)
    os.dup2(written if errors == output else os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    if kill_before is not None:
        from tests.faults.watched import kill

        kill(kill_before)
    _begin(program, arguments)


def _end(asked: dict[str, Any]) -> None:
    """Run a command and end this process, which is a copy: nothing of what called it may go on in it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    code: object = 1
    try:
        _run(**asked)
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as Python does at its end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else 1)


def _serve() -> None:
    before = dict(os.environ)
    for name in IMPORTED:
        import_module(name)
    # Packages set variables when they are imported, among them those that keep libraries from calling home.
    of_imports = {name: value for name, value in os.environ.items() if before.get(name) != value}
    gc.collect()
    gc.freeze()  # or each copy would touch, and so have of its own, all that was imported
    told = sys.stdout
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        asked["environment"] = of_imports | asked["environment"]
        child = os.fork()
        if child == 0:
            _end(asked)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=told, flush=True)


if __name__ == "__main__":
    _serve()
