"""Writers on machines of their own, which share a state database: real processes and a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from insightmart.settings import PROJECT

SPEED = 5.0  # the bounds of the lease are so much shorter here: a take-over takes 6 s instead of 30


class Machines:
    """Writers that share nothing but a state database, and the file that says who wrote in which order."""

    def __init__(self, admin_dsn: str, folder: Path, database: str) -> None:
        with psycopg.connect(admin_dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}")  # type: ignore[call-overload]
        self.dsn = make_conninfo(admin_dsn, dbname=database)
        self.folder = folder / database
        self.folder.mkdir()
        self.written = self.folder / "written"
        self.running: list[subprocess.Popen[str]] = []

    def settings(self, home: str) -> dict[str, str]:
        """The environment of a machine with this home."""
        at = conninfo_to_dict(self.dsn)
        return {
            "INSIGHTMART_HOME": str(self.folder / home),
            "INSIGHTMART_GATEWAY": "snowflake",
            "STATE_HOST": "127.0.0.1",
            "STATE_PORT": str(at["port"]),
            "STATE_USER": str(at["user"]),
            "STATE_PASSWORD": str(at["password"]),
            "STATE_DATABASE": str(at["dbname"]),
            "PYTHON_DOTENV_DISABLED": "1",
        }

    def start(
        self, name: str, *more: str, home: str = "", port: int | None = None, speed: float = SPEED
    ) -> subprocess.Popen[str]:
        """A writer with a home of its own, or with that of another one."""
        settings = self.settings(home or name) | {"INSIGHTMART_GATEWAY": "local"}
        settings |= {"STATE_PORT": str(port)} if port else {}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.lease_holder", name, str(self.written), str(speed), *more],
            cwd=PROJECT,
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def holds(self, process: subprocess.Popen[str]) -> bool:
        """Wait until it has the lock, or has ended without it."""
        assert process.stdout
        return process.stdout.readline() == "holds\n"

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Let it end, and wait: its exit code and what it said."""
        _, said = process.communicate(timeout=60)
        return process.returncode, said

    def end_all(self) -> None:
        """Nobody of them runs any more."""
        for process in self.running:
            process.kill()
            process.communicate()

    def order(self) -> list[str]:
        """Who wrote after whom."""
        return [name for name, _ in groupby(self.written.read_text(encoding="ascii").split())]

    def tell(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[call-overload, no-any-return]
