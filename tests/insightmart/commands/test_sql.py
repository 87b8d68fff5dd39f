"""`insightmart sql`: exact, whole, harmless, and read only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion.warehouse import open_duckdb
from insightmart.errors import ConfigurationError
from insightmart.read_only import check_only_reads
from insightmart.settings import Settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(settings: Settings) -> Path:
    with open_duckdb(settings.database_path) as warehouse:
        warehouse.execute("CREATE SCHEMA certified")
        warehouse.execute("CREATE TABLE certified.t (id BIGINT, amount DECIMAL(18, 4), name VARCHAR, day DATE)")
        warehouse.execute(
            "INSERT INTO certified.t VALUES (1000000001, 12345678901234.5678, '=1+1' || chr(27), '2026-03-05'),"
            " (2, -0.5, NULL, NULL)"
        )
    return settings.home


QUERY = "SELECT * FROM certified.t ORDER BY id DESC"


def test_json_is_exact(home: Path, insightmart: Run) -> None:
    code, out, _ = insightmart("sql", QUERY, "--json")
    assert code == 0
    assert json.loads(out) == [
        {"id": 1000000001, "amount": "12345678901234.5678", "name": "=1+1\x1b", "day": "2026-03-05"},
        {"id": 2, "amount": "-0.5000", "name": None, "day": None},
    ]


def test_csv_holds_no_formula_and_keeps_numbers(home: Path, insightmart: Run) -> None:
    _, out, _ = insightmart("sql", QUERY, "--csv")
    assert out.splitlines() == [
        "id,amount,name,day",
        "1000000001,12345678901234.5678,'=1+1\x1b,2026-03-05",
        "2,-0.5000,,",
    ]


def test_text_is_whole_and_harmless(home: Path, insightmart: Run) -> None:
    code, out, _ = insightmart("sql", f"SELECT t.*, repeat('x', 400) AS wide FROM ({QUERY}) AS t")
    assert code == 0
    assert "NULL" in out and "\\x1b" in out and "\x1b" not in out
    assert "x" * 400 in out and "12345678901234.5678" in out and "1000000001" in out


def test_limit_says_that_there_is_more(home: Path, insightmart: Run) -> None:
    _, out, err = insightmart("sql", QUERY, "--limit", "1", "--csv")
    assert len(out.splitlines()) == 2 and "first 1 rows" in err
    _, _, err = insightmart("sql", QUERY, "--limit", "2", "--csv")
    assert "first" not in err


def test_standard_input(home: Path, insightmart: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT 1 AS one;"))
    assert insightmart("sql", "-", "--csv")[1] == "one\n1\n"


@pytest.mark.parametrize("dialect", ["duckdb", "snowflake"])
@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM certified.t",
        "SELECT 1; DROP TABLE certified.t",
        "CREATE TABLE t AS SELECT 1",
        "COPY certified.t TO '/tmp/t.csv'",
        "CALL something()",
        "EXECUTE IMMEDIATE 'DROP TABLE t'",
        "UPDATE certified.t SET id = 1",
        "SET x = 1",
        "",
        "SELECT 'no end",
    ],
)
def test_anything_that_changes_is_refused(query: str, dialect: str) -> None:
    with pytest.raises(ConfigurationError):
        check_only_reads(query, dialect)


@pytest.mark.parametrize("dialect", ["duckdb", "snowflake"])
@pytest.mark.parametrize(
    "query", ["SELECT 1;", "WITH a AS (SELECT 1 AS x) SELECT * FROM a", "DESCRIBE TABLE ops.runs", "SHOW TABLES"]
)
def test_what_reads_is_asked(query: str, dialect: str) -> None:
    check_only_reads(query, dialect)


def test_errors_are_one_line(home: Path, insightmart: Run) -> None:
    code, _, err = insightmart("sql", "SELECT * FROM certified.absent")
    assert code == 1 and len(err.strip().splitlines()) == 1 and "absent" in err
    code, _, err = insightmart("sql", "SELECT * FROM read_csv('/etc/passwd')")
    assert code == 1 and len(err.strip().splitlines()) == 1
    code, _, err = insightmart("sql", "DROP TABLE certified.t")
    assert code == 2 and "DROP" in err


def test_without_a_warehouse(settings: Settings, insightmart: Run) -> None:
    code, _, err = insightmart("sql", "SELECT 1")
    assert code == 2 and "no warehouse" in err and not settings.database_path.exists()


def test_sqlmesh_is_not_imported(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "insightmart.cli", "sql", "SELECT 1 AS one", "--csv"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "one\n1\n"
    assert not any(name in done.stderr for name in ("sqlmesh", "| dlt", "snowflake.connector", "pandas"))
