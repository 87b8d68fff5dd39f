"""Cycles that find their home empty, or full of damaged files: figures are the truth's, to the last decimal.

On Snowflake the home is deleted as a whole. On DuckDB the warehouse and SQLMesh's state are files in it: there all but
those two is. `HOMELESS_DAY=all` plays every hour of a day; else some of them, with late corrections, a file that cannot
be read until the encoding of its store is declared, and a mail server that is down.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from ingestion.warehouse import Warehouse
from insightmart.gateway import open_warehouse
from insightmart.settings import load_settings
from insightmart.snowflake_sessions import close_waiting
from insightmart.tie_out import tie_out
from sandbox.state import SandboxState
from tests.insightmart.commands.test_cycle import FIRST_CYCLE, Sandbox, first_cycle  # noqa: F401 a fixture
from tests.support.built_homes import copy_home
from tests.support.inbox import free_port, received
from tests.support.kept_bucket import KeptBucket
from tests.support.snowflake_account import ACCOUNT
from tests.support.workshop import CommandLine

pytestmark = pytest.mark.slow

WAREHOUSE = ("INSIGHTMART.duckdb", "INSIGHTMART.duckdb.wal", "state.duckdb", "state.duckdb.wal")
IS_WHOLE = os.environ.get("HOMELESS_DAY") == "all"
HOURS = range(1, 25) if IS_WHOLE else (1, 4, 5)
SPOILT, READ_AGAIN = 1, 4  # hours whose cycle meets the file, and after whose cycle it is replayed
HELD_BACK = 17  # the hour at whose cycle a gate holds sales back, and not before
EBCDIC = "cp037"
# The settings of SQLMesh's state, and what a connection to PostgreSQL calls them.
STATE = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "DATABASE": "dbname"}


class SpoiltFile:
    """A sound file of the newest hour, put there again in EBCDIC."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.s3 = boto3.client("s3", endpoint_url=settings["AWS_ENDPOINT_URL"])
        bucket, _, prefix = settings["STORES_URL"].removeprefix("s3://").partition("/")
        for entry in self.s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/inventory/2026/03/06/00/")["Contents"]:
            self.place = {"Bucket": bucket, "Key": entry["Key"]}
            content = self.s3.get_object(**self.place)["Body"].read()
            if content.startswith(b"store_id,sku,on_hand") and entry["Key"].endswith(".csv"):
                self.content = content.decode("ascii").encode(EBCDIC)
                self.s3.put_object(**self.place, Body=self.content)
                self.store_id = int(entry["Key"][-7:-4])
                return
        raise AssertionError("no file of that hour is plain text")

    def is_gone(self) -> None:
        self.s3.delete_object(**self.place)


def test_every_cycle_finds_an_empty_home_and_every_figure_is_exact(
    day: PlayedDay,
    gateway: Callable[[dict[str, str]], Gateway],
    local: Gateway,
    fake_account: Any,
    tmp_path: Path,
) -> None:
    state = day.sandbox.add_database("homeless")
    snowflake = gateway({**ACCOUNT, **{f"STATE_{name}": state[key] for name, key in STATE.items()}})
    inbox = SandboxState.load(day.sandbox.home).inbox
    declared = tmp_path / "declared.yml"
    log = (tmp_path / "played.txt").open("a")
    with fake_account(tmp_path / "stages"):
        snowflake.run("cycle", "--as-of", FIRST_CYCLE)
        for hour in HOURS:
            truth = day.advance(hour)
            if hour == SPOILT:
                spoilt = SpoiltFile(day.sandbox.settings)
                declared.write_text(f"{spoilt.store_id}: {{encoding: {EBCDIC}}}\n")
            for one in (local, snowflake):
                import time

                t = time.monotonic()
                one.lose_the_home()
                code, said = one.run("cycle", "--as-of", day.now)
                print(
                    hour, one.is_local, code, one.inexact(truth), round(time.monotonic() - t, 1), said[-2500:], file=log
                )
                print(sorted(one.bucket.files()), len(received(inbox)), file=log, flush=True)
                if hour == READ_AGAIN:
                    spoilt.is_gone()
                    one.lose_the_home()
                    print(
                        one.run("quarantine", "replay", "--as-of", day.now, STORE_DECLARATIONS=str(declared)),
                        file=log,
                        flush=True,
                    )
