"""Every source into Snowflake: the statements of dlt and of the pipeline through the real connector.

``fakesnow_session`` says what stands in for the account, and what that does not show.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dlt.common.schema import Schema
from dlt.destinations.impl.snowflake.configuration import SnowflakeClientConfiguration
from snowflake.connector.errors import ProgrammingError

from ingestion.contracts import SOURCES, entity, raw_tables
from ingestion.loading import package
from ingestion.loading.context import IngestContext, SourceError
from ingestion.ops_tables import create_tables
from ingestion.warehouse import open_duckdb
from insightmart.errors import ConfigurationError
from insightmart.gateway import dlt_destination, open_warehouse
from insightmart.settings import Settings
from insightmart.sources import ingest
from tests.support.needed_rights import OWNERSHIP, lacking, needed_rights

if TYPE_CHECKING:
    from conftest import Trade

FIRST_DAY, NEXT_DAY = datetime(2026, 3, 5, 10), datetime(2026, 3, 6, 10)
ACCOUNT = {
    "INSIGHTMART_GATEWAY": "snowflake",
    "SNOWFLAKE_ACCOUNT": "acme-one",
    "SNOWFLAKE_USER": "loader",
    "SNOWFLAKE_AUTHENTICATOR": "snowflake",
    "SNOWFLAKE_PASSWORD": "open-sesame",
}


def settings_of(home: Path, values: dict[str, Any]) -> Settings:
    return Settings(home=home, start=date(2026, 3, 1), _env_file=None, **values)  # type: ignore[call-arg]


@pytest.mark.slow
def test_the_same_rows_land_as_on_duckdb(
    trade: Trade, state: Callable[..., dict[str, Any]], fake_account: Any, tmp_path: Path
) -> None:
    local = settings_of(tmp_path / "local", trade.settings)
    remote = settings_of(tmp_path / "remote", trade.settings | ACCOUNT)
    with (
        fake_account(tmp_path / "stages") as session,
        open_duckdb(local.database_path) as on_duckdb,
        open_warehouse(remote) as on_snowflake,
    ):
        create_tables(on_duckdb)
        create_tables(on_snowflake)
        for prepare, as_of in ((trade.first_day, FIRST_DAY), (trade.next_day, NEXT_DAY)):
            prepare()
            for source in SOURCES:
                for warehouse, settings in ((on_duckdb, local), (on_snowflake, remote)):
                    [result] = ingest(warehouse, settings, as_of, [source])
                    assert result.error is None
        for source in SOURCES:
            assert state(on_snowflake, source) == state(on_duckdb, source)
    _check_statements(session.statements)
    needed = needed_rights(session.texts)
    assert {("tables in RAW", "INSERT"), ("tables in RAW", OWNERSHIP), ("tables in OPS", "SELECT")} <= needed
    assert lacking("PIPELINE", needed) == set()
    # the role of loads alone lacks what creates the tables of ops, and nothing else
    bootstrap = {("database", "CREATE SCHEMA"), ("schema OPS", "CREATE TABLE"), ("tables in OPS", OWNERSHIP)}
    assert lacking("LOADER", needed) <= bootstrap
    assert lacking("TRANSFORMER", needed) >= {("tables in RAW", "INSERT"), ("tables in RAW", OWNERSHIP)}
    zones = {column.type.tz for schema in session.put for column in schema if pa.types.is_timestamp(column.type)}
    assert zones == {None}  # else Snowflake would convert them by the session's zone
    assert [path for path in (tmp_path / "stages").rglob("*") if path.is_file()] == []  # they hold personal data
    kept = [path for path in (tmp_path / "remote").rglob("*") if path.is_file()]
    assert [path for path in kept if b"open-sesame" in path.read_bytes()] == []


def _check_statements(statements: list[str]) -> None:
    """Each file is put into its table's own stage, copied by column name and removed; nothing else fills raw."""
    assert [one for one in statements if "open-sesame" in one] == []
    puts = [statement for statement in statements if statement.startswith("PUT ")]
    copies = [statement for statement in statements if statement.startswith("COPY INTO ")]
    form = (
        r"COPY INTO \"RAW\"\.\"(?P<name>[A-Z_]+)\""
        r" FROM '@\"RAW\"\.\"%(?P=name)\"/\"(?P<load>[\d.]+)\"/(?P<file>[^']+\.parquet)'"
        r" FILE_FORMAT = \(TYPE = 'PARQUET', BINARY_AS_TEXT = FALSE, USE_LOGICAL_TYPE = TRUE\)"
        r" MATCH_BY_COLUMN_NAME='CASE_INSENSITIVE'$"
    )
    found = [re.match(form, statement.strip()) for statement in copies]
    assert None not in found
    copied = {(copy["load"], copy["file"]) for copy in found if copy}
    put = {
        (match[2], match[1])
        for statement in puts
        if (
            match := re.match(
                r"PUT 'file://[^']+/([^/']+\.parquet)' '@\"RAW\"\.\"%[A-Z_]+\"/\"([\d.]+)\"'"
                r" OVERWRITE = TRUE, AUTO_COMPRESS = FALSE$",
                statement,
            )
        )
    }
    assert put == copied
    removed = [match for one in statements if (match := re.match(r"REMOVE '@.*/\"([\d.]+)\"/([^/']+\.parquet)'$", one))]
    assert {(match[1], match[2]) for match in removed} == put
    assert len(put) == len(puts)
    assert {copy["name"].lower() for copy in found if copy} == set(raw_tables())
    assert [
        one for one in statements if re.match(r"INSERT INTO \"?raw\"?\.\"?(oltp|shopify|stores|rejects)", one, re.I)
    ] == []


def test_a_large_table_is_several_files_of_one_load(
    fake_account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A core copies a file; results come as Arrow, and as they went."""
    monkeypatch.setattr(package, "FILE_BYTES", 1)
    item, settings = entity("oltp", "products"), settings_of(tmp_path / "home", ACCOUNT)
    kinds = pa.schema(item.columns)
    rows = [
        {"sku": f"A-{number}", "list_price": Decimal("1.25"), "is_active": True, "updated_at": FIRST_DAY}
        for number in range(3)
    ] + [{"sku": None}]
    batches = [pa.Table.from_pylist([row], kinds) for row in rows]
    with fake_account(tmp_path / "stages") as session, open_warehouse(settings) as warehouse:
        create_tables(warehouse)
        context = IngestContext(
            warehouse, settings.home, FIRST_DAY, settings.history_start, lambda line: None, dlt_destination(settings)
        )
        load_id = package.load(context, "oltp", {item.table: batches})
        names = ", ".join(kinds.names)
        landed = warehouse.arrow(
            f"SELECT {names} FROM raw.{item.table} WHERE _dlt_load_id = ? ORDER BY sku NULLS LAST", [load_id], kinds
        )
        nothing = warehouse.arrow(f"SELECT {names} FROM raw.{item.table} WHERE FALSE", [], kinds)
    assert landed == pa.concat_tables(batches).combine_chunks()
    assert nothing == kinds.empty_table()
    assert len([one for one in session.statements if one.startswith("COPY INTO ")]) == len(rows)
    assert package.piece_rows(context, 500_000) == 5_000_000


def test_a_budget_that_ends_in_a_load_leaves_nothing_of_it_and_is_named(
    fake_account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mock of one answer: the stand-in for the account refuses to copy, with the text that Snowflake has for it."""
    item, settings = entity("oltp", "products"), settings_of(tmp_path / "home", ACCOUNT)
    kinds = pa.schema(item.columns)
    batch = pa.Table.from_pylist([{"sku": "A-1", "list_price": Decimal("1.25"), "updated_at": FIRST_DAY}], kinds)

    def spent(*_: Any) -> str:
        text = "Warehouse 'INSIGHTMART_TRANSFORM' cannot be resumed because resource monitor 'M' has exceeded it."
        raise ProgrammingError(text, errno=90073, sqlstate="22000")

    with fake_account(tmp_path / "stages") as session, open_warehouse(settings) as warehouse:
        create_tables(warehouse)
        context = IngestContext(
            warehouse, settings.home, FIRST_DAY, settings.history_start, lambda line: None, dlt_destination(settings)
        )
        with monkeypatch.context() as patch:
            patch.setattr(type(session), "_copy", spent)
            with pytest.raises(SourceError, match=r"budget of warehouse INSIGHTMART_TRANSFORM is spent.*5_budget\.sql"):
                package.load(context, "oltp", {item.table: [batch]})
        counted = f"SELECT COUNT(*) FROM raw.{item.table}"
        assert warehouse.value(counted) == 0
        package.load(context, "oltp", {item.table: [batch]})
        assert warehouse.value(counted) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"SNOWFLAKE_AUTHENTICATOR": "snowflake", "SNOWFLAKE_PASSWORD": "open-sesame"}, {"password": "open-sesame"}),
        ({"SNOWFLAKE_PRIVATE_KEY_PATH": "key.p8"}, {"private_key": bytes}),
    ],
)
def test_dlt_signs_on_as_the_settings_say(tmp_path: Path, given: dict[str, str], expected: dict[str, Any]) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "key.p8").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    if "SNOWFLAKE_PRIVATE_KEY_PATH" in given:
        given = {"SNOWFLAKE_PRIVATE_KEY_PATH": str(tmp_path / "key.p8")}
    account = {name: ACCOUNT[name] for name in ("INSIGHTMART_GATEWAY", "SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER")}
    destination = dlt_destination(settings_of(tmp_path, account | given))
    configuration = SnowflakeClientConfiguration()._bind_dataset_name("raw")
    credentials = destination.client(Schema("oltp"), configuration).sql_client.credentials  # type: ignore[attr-defined]
    sent = {name: value for name, value in credentials.to_connector_params().items() if value is not None}
    assert {name: type(sent[name]) if kind is bytes else sent[name] for name, kind in expected.items()} == expected
    assert {name: sent[name] for name in ("account", "user", "role", "warehouse", "database", "authenticator")} == {
        "account": "acme-one",
        "user": "loader",
        "role": "INSIGHTMART_PIPELINE",
        "warehouse": "INSIGHTMART_TRANSFORM",
        "database": "INSIGHTMART",
        "authenticator": given.get("SNOWFLAKE_AUTHENTICATOR", "snowflake_jwt"),
    }


def test_a_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    account = {name: ACCOUNT[name] for name in ("INSIGHTMART_GATEWAY", "SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER")}
    settings = settings_of(tmp_path, account | {"SNOWFLAKE_PRIVATE_KEY_PATH": str(tmp_path / "none.p8")})
    with pytest.raises(ConfigurationError, match=r"SNOWFLAKE_PRIVATE_KEY_PATH: .*none\.p8 cannot be read"):
        open_warehouse(settings)
    with pytest.raises(ConfigurationError, match=r"SNOWFLAKE_PRIVATE_KEY_PATH: .*none\.p8 cannot be read"):
        dlt_destination(settings)
