"""The supervisor: the process that starts PostgreSQL, S3, the shop and the inbox, and ends them.

It ends when it is told to (SIGTERM), when the process it watches has gone, when its state file has gone, or after a
day; whatever ends it, its children end with it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import psutil
import psycopg
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from sandbox.servers import postgres
from sandbox.servers.inbox import Inbox, InboxServer
from sandbox.servers.services import TITLES, clear_away, environment, log_path
from sandbox.state import BUCKET, ProcessMark, SandboxError, SandboxState, state_path

LIFETIME = timedelta(hours=24)
WATCH_SECONDS = 1.0
ANSWER_SECONDS = 60
PORT_ATTEMPTS = 5
PR_SET_PDEATHSIG = 1  # linux/prctl.h

# What runs in a process of its own: the name of its log and of its record -> its module.
MODULES = {"s3": "sandbox.servers.s3", "shopify": "sandbox.shopify.server"}

log = logging.getLogger("sandbox")


class ServiceDied(Exception):
    """A service's process has ended."""


def supervise(home: Path, watched: ProcessMark | None, report: TextIO) -> None:
    """Start the services of the state file under `home`, report "ready" and close the report; end them in time."""
    state = SandboxState.load(home)
    state.processes["supervisor"] = ProcessMark.of(os.getpid())
    state.save()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_clear_away_undisturbed, state)
        children = _start_services(state, cleanup)
        state.phase = "ready" if state.empty else "loading"
        state.save()
        log.info("ready")
        with contextlib.suppress(BrokenPipeError), report:
            report.write("ready")
        log.info("stopping: %s", _watch(state, watched, children))


def _clear_away_undisturbed(state: SandboxState) -> None:
    for request in (signal.SIGTERM, signal.SIGINT):
        signal.signal(request, signal.SIG_IGN)
    clear_away(state)


def _watch(state: SandboxState, watched: ProcessMark | None, children: dict[str, subprocess.Popen[bytes]]) -> str:
    """Return the reason to stop, when there is one. A service that ends is noted, not restarted."""
    end = time.monotonic() + LIFETIME.total_seconds()
    alive = dict(children)
    while True:
        if watched and watched.process() is None:
            return f"process {watched.pid}, which started this sandbox, has ended"
        if not state_path(state.home).exists():
            return "the state file has been removed"
        if time.monotonic() > end:
            return f"running for {LIFETIME.total_seconds() / 3600:.0f} hours"
        for name, child in list(alive.items()):
            if child.poll() is not None:
                log.error("%s has ended with code %s; see %s", TITLES[name], child.returncode, log_path(state, name))
                del alive[name]
        time.sleep(WATCH_SECONDS)


def _start_services(state: SandboxState, cleanup: contextlib.ExitStack) -> dict[str, subprocess.Popen[bytes]]:
    """Start everything and wait until it answers; each process is on record as soon as it exists.

    The inbox comes last: it is a thread, and a process with threads should not fork.
    """
    s3, shopify = _start_s3(state), _start_shopify(state)
    postgres.initialise(state.postgres_dir, state.admin_password, log_path(state, "postgres"))
    server = _until_answering(state, "postgres", _start_postgres(state), _start_postgres, _log_in)
    postgres.create_database(state.admin_dsn, state.reader_password, fill_by_hand=state.empty)
    shopify = _until_answering(state, "shopify", shopify, _start_shopify, _see_shopify_listen)
    _create_bucket(state)

    inbox = InboxServer(Inbox(state.inbox))
    inbox.start()
    cleanup.callback(inbox.stop)
    state.ports["smtp"] = inbox.port
    return {"postgres": server, "s3": s3, "shopify": shopify}


def _until_answering(
    state: SandboxState,
    name: str,
    process: subprocess.Popen[bytes],
    start_again: Callable[[SandboxState], subprocess.Popen[bytes]],
    probe: Callable[[SandboxState], None],
) -> subprocess.Popen[bytes]:
    """The process of a service, once `probe` raises nothing. Raises SandboxError when it ends or stays silent.

    These services bind their port themselves; should another process have been quicker, they get another port.
    """
    for _ in range(PORT_ATTEMPTS):
        try:
            _poll(state, name, process, probe)
            return process
        except ServiceDied:
            if "address already in use" not in log_path(state, name).read_text(errors="replace").lower():
                break
            process = start_again(state)
    reason = postgres.first_complaint(log_path(state, name))
    raise SandboxError(f"{TITLES[name]} did not start: {reason}; see {log_path(state, name)}")


def _poll(
    state: SandboxState, name: str, process: subprocess.Popen[bytes], probe: Callable[[SandboxState], None]
) -> None:
    """Return when `probe` raises nothing. Raises ServiceDied when the process has ended, SandboxError after 60 s."""
    transient = (OSError, psutil.Error, psycopg.OperationalError)
    polling = Retrying(
        retry=retry_if_exception_type(transient),
        stop=stop_after_delay(ANSWER_SECONDS),
        wait=wait_fixed(0.05),
        reraise=True,
    )
    try:
        for attempt in polling:
            with attempt:
                if process.poll() is not None:
                    raise ServiceDied
                probe(state)
    except transient as error:
        reason = f"{TITLES[name]} does not answer after {ANSWER_SECONDS} s: {error}"
        raise SandboxError(f"{reason}; see {log_path(state, name)}") from None


def _log_in(state: SandboxState) -> None:
    psycopg.connect(postgres.server_dsn(state.admin_dsn), connect_timeout=5).close()


def _see_shopify_listen(state: SandboxState) -> None:
    # Looked up, not connected to: whoever has taken the port would answer, too.
    connections = psutil.Process(state.processes["shopify"].pid).net_connections("tcp4")
    listening = [connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN]
    if state.ports["shopify"] not in listening:
        raise ConnectionError("it does not listen")


def _start_postgres(state: SandboxState) -> subprocess.Popen[bytes]:
    state.ports["postgres"] = _free_port()
    preexec = _end_with_parent(signal.SIGQUIT)  # without waiting for its clients
    process = postgres.start(state.postgres_dir, state.ports["postgres"], log_path(state, "postgres"), preexec)
    return _on_record(state, "postgres", process)


def _start_s3(state: SandboxState) -> subprocess.Popen[bytes]:
    # The child inherits a socket that is already bound: no other process can take the port in between.
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        state.ports["s3"] = listener.getsockname()[1]
        return _start_module(state, "s3", ["--fd", str(listener.fileno())], pass_fds=[listener.fileno()])


def _create_bucket(state: SandboxState) -> None:
    """Make the bucket, versioned as a production one would be: a store that rewrites a file destroys nothing."""
    versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    connection = http.client.HTTPConnection("127.0.0.1", state.ports["s3"], timeout=ANSWER_SECONDS)
    try:
        for path, body in ((f"/{BUCKET}", ""), (f"/{BUCKET}?versioning", versioning)):
            connection.request("PUT", path, body)
            response = connection.getresponse()
            answer = response.read().decode(errors="replace")
            if response.status != http.client.OK:
                raise SandboxError(f"S3 refused to make the bucket: {answer}; see {log_path(state, 's3')}")
    except (OSError, http.client.HTTPException) as error:
        raise SandboxError(f"S3 does not answer: {error}; see {log_path(state, 's3')}") from None
    finally:
        connection.close()


def _start_shopify(state: SandboxState) -> subprocess.Popen[bytes]:
    state.ports["shopify"] = _free_port()
    token_file = state.directory / "shopify-token"
    token_file.touch(0o600)
    token_file.write_text(state.shopify_token)
    arguments = ["--shop", str(state.shop_path), "--port", str(state.ports["shopify"]), "--token-file", str(token_file)]
    return _start_module(state, "shopify", arguments)


def _start_module(
    state: SandboxState, name: str, arguments: list[str], pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Run the service's module as a child that ends with us, its output in NAME.log."""
    with log_path(state, name).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULES[name], *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(state),
            pass_fds=pass_fds,
            preexec_fn=_end_with_parent(signal.SIGTERM),
        )
    return _on_record(state, name, process)


def _on_record(state: SandboxState, name: str, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    state.processes[name] = ProcessMark.of(process.pid)
    state.save()
    return process


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _end_with_parent(request: signal.Signals) -> Callable[[], None] | None:
    """What a child does before it becomes its program: ask for this signal when the supervisor ends, even by -9."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    supervisor = os.getpid()

    def preexec() -> None:
        prctl(PR_SET_PDEATHSIG, int(request))
        if os.getppid() != supervisor:  # it ended before we asked
            os._exit(1)

    return preexec


def _leave(number: int, _: object) -> None:
    log.info("stopping: %s", signal.Signals(number).name)
    sys.exit(0)


def main() -> None:
    """The supervisor's entry point; `start` is its only caller."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.servers.supervisor", description="The sandbox's supervisor."
    )
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--watch", type=ProcessMark.model_validate_json)
    parser.add_argument("--report-fd", type=int, required=True, help="where to write `ready` or what went wrong")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd tells every connection
    for request in (signal.SIGTERM, signal.SIGINT):
        signal.signal(request, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    report = os.fdopen(arguments.report_fd, "w")
    try:
        supervise(arguments.home, arguments.watch, report)
    except (SandboxError, OSError) as error:
        log.error("%s", error)
        if not report.closed:
            with contextlib.suppress(BrokenPipeError), report:
                report.write(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
