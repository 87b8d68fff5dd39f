"""Files for Tableau: opened with Tableau's engine, and summed again against certified."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.definitions.columns import read_meanings
from insightmart.definitions.subjects import Subject, fields_of, read_subjects
from insightmart.errors import InsightMartError
from insightmart.extracts.extraction import extract
from insightmart.extracts.hyper_files import hyper_engine
from insightmart.extracts.subject_rows import certified_columns
from insightmart.settings import PROJECT, Settings
from tests.support.both_engines import ENGINES, opened
from tests.support.workshop import CommandLine

hyper = pytest.importorskip("tableauhyperapi", reason="Tableau's engine is not there for this machine")

SUBJECTS = read_subjects(PROJECT)
TABLE = '"Extract"."Extract"'


@pytest.fixture(scope="module")
def extracted(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a warehouse that the project has built, written where nothing was."""
    folder = tmp_path_factory.mktemp("tableau") / "new"
    with open_duckdb(built_home / "INSIGHTMART.duckdb") as warehouse:
        extract(warehouse, folder, (), None)
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with hyper_engine(tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture(scope="module")
def certified(built_home: Path) -> Iterator[Warehouse]:
    with open_duckdb(built_home / "INSIGHTMART.duckdb") as warehouse:
        yield warehouse


def asked(engine: Any, path: Path, query: str) -> list[list[Any]]:
    with hyper.Connection(engine.endpoint, path) as connection:
        rows: list[list[Any]] = connection.execute_list_query(query)
        return rows


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_file_adds_up_to_certified(subject: Subject, extracted: Path, engine: Any, certified: Warehouse) -> None:
    columns = certified_columns(certified)
    own = [
        field
        for field in fields_of(subject, columns, read_meanings(PROJECT))
        if field.table == subject.table and not field.is_hidden
    ]
    sums = ["COUNT(*)"] + [
        f"COALESCE(SUM(CAST({{{field.column}}} AS DECIMAL(38, 4))), 0)"
        if pa.types.is_decimal(kind) or pa.types.is_int64(kind)
        else f"COUNT(DISTINCT {{{field.column}}})"
        for field in own
        for kind in [columns[field.table][field.column]]
    ]
    text = ", ".join(sums)
    captions = text.format(**{field.column: f'"{field.caption}"' for field in own})
    whole = f" WHERE {subject.whole.rows}" if subject.whole else ""
    names = text.format(**{field.column: f'"{field.column}"' for field in own})
    (found,) = asked(engine, extracted / f"{subject.name}.hyper", f"SELECT {captions} FROM {TABLE}")
    assert tuple(found) == certified.rows(f"SELECT {names} FROM certified.{subject.table}{whole}")[0]
    assert found[0] > 0 or subject.name == "like_for_like"  # the scene has one year


def test_types_are_those_of_the_warehouse_and_names_those_of_readers(extracted: Path, engine: Any) -> None:
    with hyper.Connection(engine.endpoint, extracted / "sales.hyper") as connection:
        table = connection.catalog.get_table_definition(hyper.TableName("Extract", "Extract"))
    types = {column.name.unescaped: column.type for column in table.columns}
    assert types["Net sales"] == hyper.SqlType.numeric(38, 4)
    assert types["Orders"] == hyper.SqlType.big_int()
    assert types["Business date"] == hyper.SqlType.date()
    assert types["Weekend"] == hyper.SqlType.bool()
    assert types["Store region"] == hyper.SqlType.text()


def test_a_row_has_the_store_and_the_day_it_belongs_to(extracted: Path, engine: Any) -> None:
    query = f'SELECT DISTINCT "Store ID", "Store name", "Weekday" FROM {TABLE} WHERE "Store ID" = 2 ORDER BY 3'
    assert asked(engine, extracted / "sales.hyper", query) == [[2, "Store 2", "Friday"], [2, "Store 2", "Thursday"]]


def test_technical_columns_and_what_names_a_person_stay_in_the_warehouse(extracted: Path, engine: Any) -> None:
    contract = yaml.safe_load((PROJECT / "docs/contracts/dim_customers.odcs.yaml").read_text(encoding="utf-8"))
    properties = contract["schema"][0]["properties"]
    personal = {one["name"] for one in properties if one.get("classification") == "personal"}
    assert personal == {"email_hash", "city", "region", "postal_code"}
    columns = {"dim_customers": [one["name"] for one in properties]}
    (customers,) = [subject for subject in SUBJECTS if subject.name == "customers"]
    fields = fields_of(customers, columns, read_meanings(PROJECT))
    with hyper.Connection(engine.endpoint, extracted / "customers.hyper") as connection:
        table = connection.catalog.get_table_definition(hyper.TableName("Extract", "Extract"))
    shown = {column.name.unescaped for column in table.columns}
    assert {field.column for field in fields if field.caption in shown} & personal == {"city", "region"}
    assert not shown & {"Raw load ID", "Valid from (UTC)", "Email hash", "Postal code"}


def test_the_command_replaces_all_files_or_none(
    built_home: Path,
    certified: Warehouse,
    insightmart: CommandLine,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(built_home / "INSIGHTMART.duckdb", settings.database_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = tmp_path / "here" / "tableau"
    code, out, _ = insightmart("extract", str(folder), "--only", "sales", "--only", "customers", "--json")
    assert code == 0
    assert [one["subject"] for one in json.loads(out)] == ["sales", "customers"]
    assert sorted(path.name for path in folder.iterdir()) == ["customers.hyper", "sales.hyper"]
    assert list((tmp_path / "here").iterdir()) == [folder]  # no log of the engine
    before = {path: path.read_bytes() for path in folder.iterdir()}

    with (
        opened("duckdb", tmp_path / "empty", monkeypatch) as empty,
        pytest.raises(InsightMartError, match=r"agg_sales_daily is not there yet\. Run `insightmart cycle`"),
    ):
        extract(empty, folder, (), None)
    with pytest.MonkeyPatch.context() as during:
        during.setattr("insightmart.extracts.extraction.write_hyper", lambda *_: -1)  # the engine loses rows
        with pytest.raises(InsightMartError, match=r"sales.hyper has -1 rows of \d+"):
            extract(certified, folder, (), None)
    code, _, said = insightmart("extract", str(folder), "--only", "weather")
    assert (code, said.count("\n")) == (2, 1)
    assert "there is no subject weather. Name one of: sales, sales_by_hour" in said
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ENGINES)
def test_both_engines_write_the_same_exact_figures(
    name: str, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(name, tmp_path, monkeypatch) as warehouse:
        warehouse.execute("CREATE SCHEMA certified")
        warehouse.execute(
            "CREATE TABLE certified.agg_sales_daily (business_date DATE, store_id BIGINT, channel VARCHAR,"
            " orders BIGINT, net_sales DECIMAL(38, 4))"
        )
        warehouse.execute("CREATE TABLE certified.dim_dates (calendar_date DATE, is_weekend BOOLEAN)")
        warehouse.execute(
            "CREATE TABLE certified.dim_stores (store_id BIGINT, region VARCHAR, is_current BOOLEAN,"
            " valid_from TIMESTAMP_NTZ)"
        )
        figure = Decimal("1234567890123456789012345678.1235")  # 32 digits; a float has 15
        for day, amount in ((date(2026, 3, 6), figure), (date(2026, 3, 7), Decimal("-0.0001"))):
            row = {"business_date": day, "store_id": 12, "channel": "store", "orders": 1, "net_sales": amount}
            warehouse.insert("certified.agg_sales_daily", [row])
            warehouse.insert("certified.dim_dates", [{"calendar_date": day, "is_weekend": day.day == 7}])
        for region, is_current in (("West", False), ("O'Hare \N{EM DASH} East", True)):
            warehouse.insert("certified.dim_stores", [{"store_id": 12, "region": region, "is_current": is_current}])
        extract(warehouse, tmp_path / "all", ["sales"], None)
        extract(warehouse, tmp_path / "since", ["sales"], date(2026, 3, 7))
    query = f'SELECT "Store region", SUM("Net sales"), SUM("Orders"), BOOL_OR("Weekend") FROM {TABLE} GROUP BY 1'
    region = "O'Hare \N{EM DASH} East"
    assert asked(engine, tmp_path / "all/sales.hyper", query) == [
        [region, Decimal("1234567890123456789012345678.1234"), 2, True]
    ]
    assert asked(engine, tmp_path / "since/sales.hyper", query) == [[region, Decimal("-0.0001"), 1, True]]
