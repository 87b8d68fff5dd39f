"""A customer is forgotten: on a warehouse that the real project has built, with the command as people call it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.contracts import ENTITIES, REJECTS, TEXT, entity
from ingestion.loading.context import IngestContext
from ingestion.loading.erased import Erased, erased_of
from ingestion.loading.rejects import CURRENT_REJECTS, reject_key
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.erasure import erase
from insightmart.erasure.places import names_in_models
from insightmart.kept_place import KeptPlace
from insightmart.lineage.kept_graph import graph_of_files
from insightmart.lineage.origins import origins
from insightmart.settings import Settings
from tests.support.built_homes import SHAPE, copy_home, once_a_run, project_in
from tests.support.kept_bucket import KeptBucket
from tests.support.workshop import CommandLine

pytestmark = pytest.mark.slow

EMAIL = "Ada.Lovelace@needle.example"
PHONE = "+44 20 7946 0958"
SECRETS = (EMAIL, PHONE, "Lovelace", "Marylebone", "W1G 7HT", "rang to complain")
LOADED = datetime(2026, 3, 6, 10, 30)
LATER = datetime(2026, 3, 6, 11, 5)
ADA: dict[str, Any] = {
    "customer_id": 1,
    "email": EMAIL,
    "first_name": "Ada",
    "last_name": "Lovelace",
    "phone": PHONE,
    "city": "Marylebone",
    "region": "LND",
    "country": "GB",
    "postal_code": "W1G 7HT",
    "loyalty_tier": "gold",
    "marketing_opt_in": True,
    "created_at": datetime(2026, 3, 1),
    "updated_at": datetime(2026, 3, 5),
}
REJECTED = f'"1","{EMAIL}","Ada","Lovelace","{PHONE}",,,,,,"maybe",,"2026-03-05 00:00:00"'


def _fill(warehouse: Warehouse) -> None:
    load = {"_loaded_at": LOADED, "_dlt_load_id": "1772800000.5"}
    bob = ADA | {"customer_id": 2, "email": "bob@other.example", "last_name": "Byron", "phone": "0123456789"}
    bob |= {"city": "Nottingham", "postal_code": "NG15"}
    moved = ADA | {"city": "Ockham", "updated_at": datetime(2026, 3, 6)}
    warehouse.insert("raw.oltp_customers", [row | load for row in (ADA, moved, bob)])
    # refund 2 is of order 6, whose customer is 1; refund 3 is of order 9, whose customer is 4
    warehouse.execute("UPDATE raw.oltp_refunds SET reason = 'rang to complain' WHERE refund_id = 2")
    warehouse.execute("UPDATE raw.oltp_refunds SET reason = ? WHERE refund_id = 3", [f"asks {EMAIL.lower()}"])
    shared = {"source": "oltp", "entity": "customers", "is_whole_file": False, "rule_id": "flag_invalid"}
    shared |= {"column_name": "marketing_opt_in", "rejected_at": LOADED} | load
    warehouse.insert("raw.rejects", [shared | {"reason": f"{EMAIL} said maybe", "raw_text": REJECTED}])
    warehouse.insert("raw.rejects", [shared | {"reason": "not t or f", "raw_text": '"2","bob@other.example"'}])
    loads = {"load_id": load["_dlt_load_id"], "source": "oltp", "entity": "customers", "rows": 3, "status": "loaded"}
    warehouse.insert("ops.loads", [loads | {"loaded_at": LOADED, "started_at": LOADED, "ended_at": LOADED}])
    through = "UPDATE ops.source_watermarks SET covered_through = ? WHERE source = ?"
    warehouse.execute(through, [datetime(2026, 3, 6, 11), "oltp"])


@pytest.fixture(scope="module")
def filled_home(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built home with customers, one of them twice, free text and rejected records, certified through 11:00."""

    def build(home: Path) -> None:
        copy_home(built_home, home)
        with project_in(home, SHAPE) as (warehouse, transformer):
            _fill(warehouse)
            staging = ["staging._oltp_refunds"]
            outcome = transformer.restate(staging, datetime(2026, 3, 5), datetime(2026, 3, 6, 10), LATER)
            assert outcome.failures == {}
            assert transformer.run(LATER).failures == {}
            warehouse.execute("CHECKPOINT")
        original = home / "quarantine" / "cafe"
        original.parent.mkdir()
        original.write_bytes(f"customer;mail\n1;{EMAIL}\n".encode("utf-16"))
        (original.parent / "beef").write_bytes(b"store_id;sku\n1;2\n")
        leftover = home / "dlt" / "oltp" / "batches" / "oltp_customers-0.parquet"
        leftover.parent.mkdir(parents=True)
        leftover.write_bytes(EMAIL.encode())

    return once_a_run(tmp_path_factory, "filled", build)


@pytest.fixture
def home(filled_home: Path, settings: Settings) -> Path:
    """A copy that a test may spoil."""
    return copy_home(filled_home, settings.home)


def said_in(home: Path) -> list[tuple[str, str]]:
    """Which files below the home hold a byte of what is to be forgotten, whatever case it is in."""
    found = []
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            held = path.read_bytes().lower()
            for secret in SECRETS:
                found += [(path.name, secret) for kind in ("utf-8", "utf-16-le") if secret.lower().encode(kind) in held]
    return found


def rows(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        return warehouse.rows(sql)


def figures(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("agg_sales_daily", "agg_sales_hourly", "fct_orders", "fct_order_lines", "agg_inventory_daily")
    return {name: rows(home, f"SELECT * FROM certified.{name} ORDER BY ALL") for name in tables}


def test_what_is_personal_is_gone_to_the_last_byte_and_no_figure_changes(home: Path, insightmart: CommandLine) -> None:
    before = figures(home)
    keys = "SELECT customer_id, valid_from, valid_to, country, loyalty_tier FROM certified.dim_customers ORDER BY ALL"
    people = rows(home, keys)
    assert ("1", datetime(1970, 1, 1), datetime(2026, 3, 6), "GB", "gold") in people
    assert {name for name, _ in said_in(home)} >= {"INSIGHTMART.duckdb", "cafe", "oltp_customers-0.parquet"}
    told = insightmart.json("erase", "1", "--reason", "ticket 4711", "--yes", "--as-of", "2026-03-06T11:10")
    assert told["left"] == []
    assert told["emptied"]["raw.oltp_customers"] == 2
    assert told["emptied"]["raw.oltp_refunds"] == 3  # two of orders of hers, one that names her
    assert told["emptied"]["raw.rejects"] == 1
    assert told["emptied"]["kept originals"] == 1
    assert {"core.dim_customers", "certified.dim_customers", "staging._oltp_refunds"} <= set(told["emptied"])
    assert said_in(home) == []
    assert (home / "quarantine" / "beef").exists()
    assert figures(home) == before
    assert rows(home, keys) == people
    assert rows(home, "SELECT DISTINCT email_hash, city FROM certified.dim_customers WHERE customer_id = '1'") == [
        (None, None)
    ]
    assert rows(home, "SELECT email, last_name FROM raw.oltp_customers WHERE customer_id = 2") == [
        ("bob@other.example", "Byron")
    ]


def test_it_is_in_the_ledger_with_who_and_why_and_the_ledger_verifies(home: Path, insightmart: CommandLine) -> None:
    insightmart("erase", "1", "--reason", "ticket 4711", "--yes", "--as-of", "2026-03-06T11:10")
    entries = json.loads(insightmart("ledger", "show", "--kind", "erasure", "--json")[1])
    told = [entry["details"] for entry in entries if entry["subject"].startswith("erasure")]
    assert [(one["customer_id"], one["reason"]) for one in told] == [(1, "ticket 4711")]
    assert insightmart("ledger", "verify")[0] == 0


def test_without_a_yes_nothing_changes(home: Path, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    before = rows(home, "SELECT * FROM raw.oltp_customers ORDER BY ALL")
    code, out, _ = insightmart("erase", "1", "--reason", "ticket 4711", "--as-of", "2026-03-06T11:10")
    assert code == 2
    assert "raw.oltp_customers" in out
    assert rows(home, "SELECT * FROM raw.oltp_customers ORDER BY ALL") == before
    assert rows(home, "SELECT * FROM ops.erasures") == []
    assert (home / "quarantine" / "cafe").exists()


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("99", "--reason", "ticket"), "no source ever sent a customer 99"),
        (("shopify:99", "--reason", "ticket"), "no source ever sent a customer shopify:99"),
        (("ada", "--reason", "ticket"), "'ada' is no customer id"),
        (("1", "--reason", f"asked from {EMAIL.lower()}"), "e-mail address or telephone number"),
        (("1", "--reason", " "), "--reason must say why"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    home: Path, insightmart: CommandLine, arguments: tuple[str, ...], cause: str
) -> None:
    code, _, err = insightmart("erase", *arguments, "--yes", "--as-of", "2026-03-06T11:10")
    assert code == 2
    assert cause in err
    assert len(err.splitlines()) == 1
    assert rows(home, "SELECT * FROM ops.erasures") == []


def test_once_more_says_that_it_is_done(home: Path, insightmart: CommandLine) -> None:
    command = ("erase", "1", "--reason", "ticket 4711", "--yes", "--as-of", "2026-03-06T11:10")
    assert insightmart(*command)[0] == 0
    code, out, _ = insightmart(*command)
    assert code == 0
    assert "was erased on" in out
    assert len(rows(home, "SELECT * FROM ops.erasures")) == 1


def test_an_original_in_a_bucket_goes_with_all_its_versions_and_a_log_is_named(
    home: Path, insightmart: CommandLine, endpoint: str, aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = KeptBucket(endpoint)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    for original in (home / "quarantine").iterdir():
        for _ in range(2):
            bucket.put(f"quarantine/{original.name}", original.read_bytes())
    shutil.rmtree(home / "quarantine")
    bucket.put("logs/2026/03/05/1.jsonl", f'{{"error": "{EMAIL}"}}'.encode())
    told = insightmart.json("erase", "1", "--reason", "t", "--yes", "--as-of", "2026-03-06T11:10")
    assert told["emptied"]["kept originals"] == 1
    assert told["left"] == [f"the file s3://{bucket.name}/home/logs/2026/03/05/1.jsonl has it"]
    assert {name for name in bucket.versions() if name.startswith("quarantine/")} == {"quarantine/beef"}


def test_each_object_that_can_speak_of_somebody_is_read_once(
    home: Path, insightmart: CommandLine, endpoint: str, aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, asked, read = KeptBucket(endpoint), Counter[str](), KeptPlace.read
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)

    def counted(place: KeptPlace, name: str) -> bytes | None:
        asked[name] += 1
        return read(place, name)

    monkeypatch.setattr(KeptPlace, "read", counted)
    for original in (home / "quarantine").iterdir():
        bucket.put(f"quarantine/{original.name}", original.read_bytes())
    for day in ("2026/01/31", "2026/02/03", "2026/03/06"):
        bucket.put(f"logs/{day}/100500-cycle-0a1b2c3d.jsonl", EMAIL.encode())
    bucket.put("promotions/1/review.html", b"<p>nobody</p>")
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        loads = warehouse.rows(
            "SELECT DISTINCT _dlt_load_id FROM raw.oltp_customers UNION"
            " SELECT _dlt_load_id FROM raw.oltp_orders UNION SELECT _dlt_load_id FROM raw.rejects"
        )
        load = {"status": "succeeded", "started_at": LOADED}
        warehouse.insert("ops.loads", [load | {"load_id": name} for (name,) in loads])
    told = insightmart.json("erase", "1", "--reason", "t", "--yes", "--as-of", "2026-03-06T11:10")
    assert [path.split("/logs/")[1][:10] for path in told["left"]] == ["2026/02/03", "2026/03/06"]
    logs = {f"logs/{day}/100500-cycle-0a1b2c3d.jsonl" for day in ("2026/02/03", "2026/03/06")}
    assert asked == dict.fromkeys({"quarantine/cafe", "quarantine/beef", "promotions/1/review.html", *logs}, 1)


@pytest.mark.parametrize("place", ["identifying_values", "_empty_rows", "empty_texts", "forget_loads", "utc_now"])
def test_killed_anywhere_it_is_finished_by_the_next_one(
    home: Path, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    begin = erase.begin

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    def begun(*given: Any) -> None:  # what is asked before the intent is written down is asked in peace
        begin(*given)
        monkeypatch.setattr(erase, place, killed)

    with monkeypatch.context() as patch:
        patch.setattr("insightmart.commands.erase.begin", begun)
        assert insightmart("erase", "1", "--reason", "t", "--yes", "--as-of", "2026-03-06T11:10")[0] == 130
    monkeypatch.undo()
    assert rows(home, "SELECT status FROM ops.erasures") == [("begun",)]
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        settings = Settings(INSIGHTMART_HOME=home, _env_file=None)  # type: ignore[call-arg]
        erase.finish_begun(warehouse, settings)  # as the next `erase` and the next cycle do
    assert rows(home, "SELECT status FROM ops.erasures") == [("done",)]
    assert said_in(home) == []


def test_a_total_that_would_change_stops_it(
    home: Path, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = erase.empty

    def too_much(warehouse: Warehouse, found: Any) -> None:
        original(warehouse, found)
        warehouse.execute("DELETE FROM raw.oltp_orders WHERE customer_id = 1")

    monkeypatch.setattr(erase, "empty", too_much)
    code, _, err = insightmart("erase", "1", "--reason", "t", "--yes", "--as-of", "2026-03-06T11:10")
    assert (code, "a total would be another one" in err) == (1, True)
    assert rows(home, "SELECT COUNT(*) FROM raw.oltp_customers WHERE email = 'Ada.Lovelace@needle.example'") == [(2,)]


def test_a_reject_that_was_replayed_stays_replayed_and_the_other_stays_rejected(
    home: Path, insightmart: CommandLine
) -> None:
    replayed = {"source": "oltp", "entity": "customers", "reject_load_id": "1772800000.5", "is_whole_file": False}
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        warehouse.insert("ops.replays", [replayed | {"reject_key": reject_key(REJECTED), "recorded_at": LOADED}])
        before = warehouse.rows(f"SELECT raw_text FROM ({CURRENT_REJECTS}) AS r")
        assert len(before) == 1
    assert insightmart("erase", "1", "--reason", "t", "--yes", "--as-of", "2026-03-06T11:10")[0] == 0
    assert rows(home, f"SELECT raw_text FROM ({CURRENT_REJECTS}) AS r") == before
    assert rows(home, "SELECT raw_text, reason FROM raw.rejects WHERE raw_text LIKE '\"1\"%'") == [
        (
            '"1",,,,,,,,,,"maybe",,"2026-03-05 00:00:00"',
            "the record does not fit its contract; what it said was erased with its customer",
        )
    ]


class TestWhatArrivesAgain:
    """Of erased customers, in whatever shape a load brings it."""

    ERASED = Erased(frozenset({1}), {6})

    @staticmethod
    def batch(name: str, *given: dict[str, Any]) -> pa.Table:
        item = entity("oltp", name)
        return pa.Table.from_pylist([dict.fromkeys(item.schema.names) | row for row in given], item.schema)

    def test_customers_come_without_what_is_personal_also_in_columns_that_nobody_declared(self) -> None:
        batch = self.batch("customers", ADA, ADA | {"customer_id": 2})
        batch = batch.append_column("birthday", pa.array(["1815-12-10", "1815-12-10"]))
        batch = batch.set_column(1, "email", batch["email"].dictionary_encode())
        mine, other = self.ERASED.emptied("oltp_customers", batch).to_pylist()
        kept = {name: value for name, value in mine.items() if value is not None}
        assert sorted(kept) == [
            "country",
            "created_at",
            "customer_id",
            "loyalty_tier",
            "marketing_opt_in",
            "updated_at",
        ]
        assert (other["email"], other["birthday"]) == (EMAIL, "1815-12-10")
        assert self.ERASED.emptied("oltp_customers", batch).schema == batch.schema

    def test_notes_are_found_by_orders_that_came_before_or_with_them(self) -> None:
        erased = Erased(frozenset({1}), {6})
        orders = self.batch("orders", {"order_id": 70, "customer_id": 1}, {"order_id": 71, "customer_id": 2})
        assert erased.emptied("oltp_orders", orders) == orders
        refunds = self.batch(
            "refunds", *({"refund_id": n, "order_id": n, "reason": "told"} for n in (6, 70, 71)), {"reason": "told"}
        )
        found = erased.emptied("oltp_refunds", refunds)["reason"].to_pylist()
        assert found == [None, None, "told", "told"]

    def test_a_rejected_record_of_the_shop_loses_its_notes_and_keeps_its_keys(self) -> None:
        text = '{"id":"gid://shopify/Order/9","customer":{"id":"gid://shopify/Customer/1"},"note":"Ada rang"}'
        assert self.ERASED.text(entity("shopify", "orders"), text) == text.replace('"Ada rang"', "null")
        other = text.replace("Customer/1", "Customer/2")
        assert self.ERASED.text(entity("shopify", "orders"), other) == other

    def test_nothing_is_asked_of_rows_where_nobody_was_erased(self) -> None:
        batch = self.batch("customers", ADA)
        assert Erased().emptied("oltp_customers", batch) is batch


def test_a_load_asks_once_who_was_erased(home: Path) -> None:
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        begun = {"erasure_id": "e", "source": "oltp", "customer_id": 1, "status": "begun"}
        warehouse.insert("ops.erasures", [begun])
        context = IngestContext(warehouse, home, LATER, datetime(2026, 3, 5), lambda _: None, None)
        assert erased_of(context, "oltp").customers == {1}
        assert 6 in erased_of(context, "oltp").orders
        warehouse.execute("DELETE FROM ops.erasures")
        assert erased_of(context, "oltp").customers == {1}
        assert erased_of(context, "stores") == Erased()


@pytest.mark.parametrize("item", [item for item in ENTITIES if item.person], ids=lambda item: item.table)
def test_every_text_about_a_customer_or_an_order_is_classified(item: Any) -> None:
    texts = {column.name for column in item.columns if column.type == TEXT}
    assert set(item.personal) | set(item.impersonal) == texts, (
        f"say in ingestion/contracts.py of each column of {item.table} whether it is personal"
    )
    assert not set(item.personal) & set(item.impersonal)
    assert REJECTS.person is None


@pytest.fixture(scope="module")
def texts_made_of() -> dict[str, tuple[str, ...]]:
    """Columns of text of all models -> the columns of raw that they are made of."""
    graph = graph_of_files()
    kinds = {
        f"{name}.{column}": facts.type
        for name, table in graph.tables.items()
        for column, facts in table.columns.items()
    }
    found: dict[str, tuple[str, ...]] = {}
    for layer in ("staging", "core", "certified"):
        found |= {f"{layer}.{column}": made_of for column, made_of in origins(graph, layer).items()}
    return {column: made_of for column, made_of in found.items() if kinds[column] in ("TEXT", "VARCHAR")}


def test_whatever_models_make_of_personal_columns_has_a_name_that_is_erased(
    texts_made_of: dict[str, tuple[str, ...]],
) -> None:
    personal = {f"raw.{item.table}.{name}": str(item.person) for item in ENTITIES for name in item.personal}
    found = set()
    for column, made_of in texts_made_of.items():
        name = column.rpartition(".")[2]
        for origin in set(made_of) & set(personal):
            if name != "rule_ids":  # which say that a text is too long, and no more
                assert name in names_in_models(personal[origin]), f"{column} is made of {origin}"
                found.add(column)
    assert "certified.dim_customers.email_hash" in found
