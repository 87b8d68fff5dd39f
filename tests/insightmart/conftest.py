"""Warehouses for the tests: one made of a few rows by hand, one built by the real SQLMesh project."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import ENTITIES
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.runs import RunProblem, record_problems
from insightmart.settings import Settings

if TYPE_CHECKING:
    from sqlmesh import Context

START = date(2026, 3, 5)
AS_OF = datetime(2026, 3, 6, 17, 5)
GATES = ("sales__oltp", "sales__shopify", "inventory__stores", "inventory__shopify", "customers", "products", "stores")
HOUR = timedelta(hours=1)

_GATE_COLUMNS = (
    "window_start TIMESTAMP, window_end TIMESTAMP, scan_id VARCHAR, checks_passed INT, checks_warned INT,"
    " scanned_at TIMESTAMP"
)
_CERTIFIED = {
    "fct_orders": "order_id VARCHAR",
    "fct_order_lines": "order_id VARCHAR",
    "fct_refunds": "refund_id VARCHAR",
    "agg_sales_hourly": "business_date DATE",
    "agg_sales_daily": "business_date DATE, store_id INT, channel VARCHAR, orders BIGINT, gross_sales DECIMAL(18, 4),"
    " discounts DECIMAL(18, 4), returns DECIMAL(18, 4), net_sales DECIMAL(18, 4), total_sales DECIMAL(18, 4)",
    "row_counts": "event_hour TIMESTAMP",
    "fct_inventory": "store_id INT",
    "agg_inventory_daily": "store_id INT",
    "inventory_coverage": "counted_hour TIMESTAMP",
    "dim_customers": "customer_id VARCHAR",
    "dim_products": "sku VARCHAR",
    "dim_stores": "store_id INT, store_name VARCHAR, timezone VARCHAR, is_current BOOLEAN, is_inferred BOOLEAN,"
    " opened_on DATE, closed_on DATE",
    "dim_dates": "calendar_date DATE",
}


class Business:
    """A warehouse in which everything is certified through 17:00, to be spoilt by a test.

    ``warehouse`` is the open connection; the methods write what ingestion, the gate and the cycle would have written.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        create_tables(warehouse)
        for schema in ("gate", "certified", "quarantine"):
            warehouse.execute(f"CREATE SCHEMA {schema}")
        for table, columns in _CERTIFIED.items():
            warehouse.execute(f"CREATE TABLE certified.{table} ({columns})")
        for gate in GATES:
            warehouse.execute(f"CREATE TABLE gate.{gate} ({_GATE_COLUMNS})")
            self.passed(gate, datetime(2026, 3, 5), datetime(2026, 3, 6, 17))
        for item in ENTITIES:
            if item.watermarked:
                self.covered(item.source, item.name, datetime(2026, 3, 6, 17))

    def covered(self, source: str, entity: str, through: datetime) -> None:
        """Move a watermark."""
        self.warehouse.execute("DELETE FROM ops.source_watermarks WHERE source = ? AND entity = ?", [source, entity])
        mark = {"source": source, "entity": entity, "covered_through": through, "load_id": "1", "updated_at": through}
        self.warehouse.insert("ops.source_watermarks", [mark])

    def passed(self, gate: str, start: datetime, end: datetime) -> None:
        """A window that passed its gate, with its scan."""
        row = {
            "window_start": start,
            "window_end": end,
            "scan_id": f"{gate}-{end}",
            "checks_passed": 2,
            "checks_warned": 0,
        }
        self.warehouse.insert(f"gate.{gate}", [{**row, "scanned_at": end + timedelta(minutes=6)}])
        self.scanned(gate, start, end, {"a line counts once": ("pass", "0", "")})

    def scanned(self, gate: str, start: datetime, end: datetime, checks: dict[str, tuple[str, str, str]]) -> None:
        """A scan: check name -> (outcome, value, SodaCL)."""
        shared = {
            "run_id": "cycle-1",
            "scan_id": f"{gate}-{end}-{len(self.warehouse.rows('SELECT scan_id FROM ops.check_results'))}",
            "area": gate,
            "dataset": "ROW_COUNTS",
            "severity": "critical",
            "window_start": start,
            "window_end": end,
            "scanned_at": end
            + timedelta(minutes=6, seconds=len(self.warehouse.rows("SELECT 1 FROM ops.check_results"))),
            "as_of": end + timedelta(minutes=5),
        }
        rows = [
            {**shared, "check_name": name, "outcome": outcome, "value": value, "definition": definition}
            for name, (outcome, value, definition) in checks.items()
        ]
        self.warehouse.insert("ops.check_results", rows)

    def refuse(self, gate: str = "sales__oltp", since: datetime = datetime(2026, 3, 6, 16)) -> None:
        """Everything from ``since`` on is refused by the check of the reject rate."""
        self.warehouse.execute(f"UPDATE gate.{gate} SET window_end = ?", [since])
        definition = (
            "checks for GATE_SCAN_1.ROW_COUNTS:\n  - rejected_lines_percent <= ${REJECTED_LINES_MAX_PERCENT}:\n"
            "      name: few order lines are rejected\n      attributes: {severity: critical, owner: operations}\n"
        )
        checks = {
            "few order lines are rejected": ("fail", "41.18", definition),
            "a line counts once": ("pass", "0", ""),
        }
        self.scanned(gate, since, since + HOUR, checks)

    def ran(self, run_id: str, as_of: datetime, status: str, *problems: RunProblem) -> None:
        """A cycle that ended, and what went wrong in it."""
        row = {"run_id": run_id, "command": "cycle", "as_of": as_of, "status": status}
        self.warehouse.insert("ops.runs", [{**row, "started_at": as_of, "ended_at": as_of + timedelta(seconds=9)}])
        record_problems(self.warehouse, run_id, problems)

    def correction(self, **columns: Any) -> None:
        """An open correction window of store sales."""
        row = {
            "window_id": "w1",
            "source": "oltp",
            "entity": "sales",
            "window_start": datetime(2026, 3, 5, 9),
            "window_end": datetime(2026, 3, 5, 11),
            "reason": "rows new or changed after the hour had been released",
            "rows": 3,
            "queued_at": datetime(2026, 3, 6, 17, 5),
            "status": "open",
            "attempts": 0,
        }
        self.warehouse.insert("ops.correction_windows", [row | columns])

    def quarantined(self, entity: str, reasons: str, event_at: datetime, **columns: str) -> None:
        """A rejected row."""
        self.warehouse.execute(
            f"CREATE TABLE IF NOT EXISTS quarantine.{entity} (order_id VARCHAR, customer_note VARCHAR,"
            " event_at TIMESTAMP, raw_load_id VARCHAR, rule_ids VARCHAR, reasons VARCHAR)"
        )
        row = {"event_at": event_at, "raw_load_id": "1772.1", "rule_ids": reasons, "reasons": reasons}
        self.warehouse.insert(f"quarantine.{entity}", [{**row, "order_id": "1", "customer_note": None} | columns])

    def rejected_file(self, file_name: str, reason: str, at: datetime) -> None:
        """A store file that was not trusted as a whole."""
        row = {
            "source": "stores",
            "entity": "inventory",
            "is_whole_file": True,
            "rule_id": "gzip_truncated",
            "reason": reason,
            "original_path": "/home/quarantine/abc",
            "rejected_at": at,
            "file_name": file_name,
            "file_hash": "abc",
            "_dlt_load_id": "1772.1",
        }
        self.warehouse.insert("raw.rejects", [row])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a home of its own, without any source or mail server; also what commands read."""
    for name in (
        "OLTP_DSN",
        "STORES_URL",
        "SHOPIFY_URL",
        "SHOPIFY_TOKEN",
        "SMTP_URL",
        "REPORT_TO",
        "INSIGHTMART_AS_OF",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INSIGHTMART_HOME", str(tmp_path))
    monkeypatch.setenv("INSIGHTMART_START", START.isoformat())
    monkeypatch.setenv("INSIGHTMART_GATEWAY", "local")
    return Settings(home=tmp_path, start=START, timezone="America/New_York", _env_file=None)  # type: ignore[call-arg]


@pytest.fixture
def business(settings: Settings) -> Iterator[Business]:
    """A warehouse in which everything is certified, made by hand."""
    with open_duckdb(settings.database_path) as warehouse:
        yield Business(warehouse)


# --- a warehouse built by the project itself ---------------------------------------------------------------------

STORES = {1: "America/New_York", 2: "Europe/Berlin", 3: "Asia/Tokyo"}
LOAD = "1772700000.1"


def _raw_rows() -> dict[str, list[dict[str, Any]]]:
    """34 hours of three stores, an online shop and stock counts, with a few rows of every kind that is left out."""
    start, loaded = datetime(2026, 3, 5), {"_loaded_at": AS_OF, "_dlt_load_id": LOAD}
    rows: dict[str, list[dict[str, Any]]] = {item.table: [] for item in ENTITIES}
    for number in range(1, 103):
        at = start + timedelta(hours=(number - 1) // 3, minutes=11 * ((number - 1) % 3))
        order = {
            "order_id": number,
            "customer_id": number % 5 or None,
            "store_id": 1 + number % 3,
            "channel": "phone" if number % 10 == 0 else "store",
            "status": "cancelled" if number % 11 == 0 else "completed",
            "is_test": number == 50,
            "currency": "EUR" if number % 17 == 0 else "USD",
            "ordered_at": at,
            "discount_amount": Decimal("1.00"),
            "tax_amount": Decimal("0.50"),
            "shipping_amount": Decimal("0.00"),
            "total_amount": None if number == 7 else Decimal("18.75"),
            "updated_at": at,
        }
        line = {
            "order_id": number,
            "line_number": 1,
            "sku": f"SKU{number % 4}",
            "quantity": 2,
            "unit_price": Decimal("9.6255"),
            "discount_amount": Decimal("1.00"),
            "tax_amount": Decimal("0.50"),
            "updated_at": at,
        }
        rows["oltp_orders"] += [order | loaded] * (2 if number == 20 else 1)
        rows["oltp_order_lines"].append(line | loaded)
        if number % 13 == 0:
            rows["oltp_order_lines"].append(line | {"line_number": 2, "quantity": -2} | loaded)
    for number in range(1, 11):
        at = start + timedelta(hours=20 + number)
        rows["oltp_refunds"].append(
            {
                "refund_id": number,
                "order_id": {8: 22, 10: None}.get(number, number * 3),  # 22 is cancelled
                "line_number": 1,
                "quantity": 1,
                "amount": Decimal("-1.0000") if number == 9 else Decimal("3.1255"),
                "reason": "damaged",
                "refunded_at": at,
                "updated_at": at,
            }
            | loaded
        )
    for number in range(1, 31):
        at = start + timedelta(hours=number, minutes=30)
        version = {"order_id": number, "order_updated_at": at}
        rows["shopify_orders"].append(
            {
                "order_id": number,
                "is_test": False,
                "currency": "CAD" if number == 4 else "USD",
                "financial_status": "PAID",
                "fulfillment_status": "UNFULFILLED",
                "created_at": at,
                "processed_at": at,
                "cancelled_at": at if number == 9 else None,
                "discount_amount": Decimal(0),
                "tax_amount": Decimal("0.70"),
                "shipping_amount": Decimal("4.95"),
                "total_amount": Decimal("15.65"),
                "updated_at": at,
            }
            | loaded
        )
        rows["shopify_order_lines"].append(
            version
            | {"line_item_id": number * 10, "line_position": 1, "sku": "SKU1", "quantity": 1, "unit_price": Decimal(10)}
            | {"discount_amount": Decimal(0), "tax_amount": Decimal("0.70")}
            | loaded
        )
    rows["shopify_refunds"].append(
        {
            "order_id": 12,
            "order_updated_at": start + timedelta(hours=12, minutes=30),
            "refund_id": 1,
            "refund_line_id": 1,
        }
        | {
            "line_item_id": 120,
            "sku": "SKU1",
            "quantity": 1,
            "subtotal_amount": Decimal(10),
            "tax_amount": Decimal("0.7"),
        }
        | {"shipping_amount": None, "refunded_at": start + timedelta(hours=20)}
        | loaded
    )
    for hour in range(34):
        for store in STORES:
            at = start + timedelta(hours=hour, minutes=40)
            count = {"store_id": store, "sku": "SKU1", "on_hand": 10 + hour, "on_order": 0, "counted_at": at}
            place = {"file_name": f"inventory/{at:%Y/%m/%d/%H}/store_{store:03}.csv", "file_hash": "h"}
            earlier = count | {"counted_at": at - timedelta(minutes=20), "on_hand": 99}
            bad = count | {"sku": "SKU2", "on_hand": -1}
            counts = enumerate((count, earlier, bad), 2)
            rows["stores_inventory"] += [row | place | {"file_line": line} | loaded for line, row in counts]
    for store, zone in STORES.items():
        reference = {"store_id": store, "name": f"Store {store}", "timezone": zone, "reference_date": START}
        rows["stores_reference"].append(reference | {"file_name": f"store_{store:03}.csv", "file_line": 2} | loaded)
    return rows


def _fill(warehouse: Warehouse) -> None:
    create_tables(warehouse)
    for table, rows in _raw_rows().items():
        warehouse.insert(f"raw.{table}", rows)
    for item in ENTITIES:
        mark = {
            "source": item.source,
            "entity": item.name,
            "covered_through": datetime(2026, 3, 6, 10),
            "load_id": LOAD,
        }
        if item.watermarked:
            warehouse.insert("ops.source_watermarks", [mark | {"updated_at": AS_OF}])
        count = warehouse.value(f"SELECT COUNT(*) FROM raw.{item.table}")
        load = {"load_id": LOAD, "source": item.source, "entity": item.name, "rows": count, "rejected_rows": 0}
        load |= {"source_count": count, "status": "loaded", "loaded_at": AS_OF, "started_at": AS_OF}
        warehouse.insert("ops.loads", [load])


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose warehouse the real project has built from raw rows written by hand, certified through 10:00."""
    from insightmart.transform.transformer import open_transformer

    home = tmp_path_factory.mktemp("built")
    settings = Settings(home=home, start=START, timezone="America/New_York", _env_file=None)  # type: ignore[call-arg]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIGHTMART_HOME", str(home))
        patch.setenv("INSIGHTMART_START", START.isoformat())
        patch.setenv("INSIGHTMART_GATEWAY", "local")
        patch.setenv("INSIGHTMART_CURRENCY", "USD")
        patch.setenv("INSIGHTMART_TIMEZONE", "America/New_York")
        with open_duckdb(settings.database_path) as warehouse:
            _fill(warehouse)
            with open_transformer(settings, warehouse) as transformer:
                transformer.set_up(datetime(2026, 3, 6, 10, 5))
                outcome = transformer.run(datetime(2026, 3, 6, 10, 5))
            assert outcome.failures == {}
            warehouse.execute("CHECKPOINT")
    return home


@pytest.fixture
def built(built_home: Path, settings: Settings) -> Iterator[Warehouse]:
    """A copy of the built warehouse that a test may spoil."""
    shutil.copy(built_home / "INSIGHTMART.duckdb", settings.database_path)
    with open_duckdb(settings.database_path) as warehouse:
        yield warehouse


# --- changing the project ----------------------------------------------------------------------------------------

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = ("models", "macros", "signals", "audits", "seeds", "soda", "linter", "config.yaml", "external_models.yaml")
UNIT_TESTS = "tests/certified/test_fct_refunds.yaml"  # one is enough to see that they are run


class Workshop:
    """A home built by the real project and a copy of its files that a test may change: plan, then `insightmart`."""

    unit_tests = UNIT_TESTS

    def __init__(self, home: Path, project: Path) -> None:
        self.home = home
        self.project = project

    def colleague(self, project: Path) -> Workshop:
        """Somebody else on the same home, with the repository's own files."""
        return Workshop(self.home, _copy_project(project))

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        path = self.project / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} does not say {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    @contextmanager
    def context(self) -> Iterator[Context]:
        """SQLMesh as the plain command loads it."""
        from sqlmesh import Context
        from sqlmesh.core.console import NoopConsole, set_console

        set_console(NoopConsole())
        opened = Context(paths=str(self.project))
        try:
            yield opened
        finally:
            opened.close()

    def plan(self, environment: str, **options: Any) -> None:
        """What `sqlmesh plan ENVIRONMENT --auto-apply --no-prompts --skip-tests` does."""
        with self.context() as context:
            context.plan(environment, auto_apply=True, no_prompts=True, skip_tests=True, **options)

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        """The warehouse, while nobody else has it."""
        with open_duckdb(self.home / "INSIGHTMART.duckdb") as opened:
            yield opened

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with self.warehouse() as warehouse:
            return warehouse.rows(sql)

    def certified(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every certified table and its rows, in order."""
        with self.warehouse() as warehouse:
            names = warehouse.rows(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'CERTIFIED' ORDER BY 1"
            )
            assert names
            return {name: warehouse.rows(f"SELECT * FROM certified.{name} ORDER BY ALL") for (name,) in names}


class CommandLine:
    """`insightmart` in this process: exit code, standard output and standard error of its console script."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        from insightmart.cli import main

        self.monkeypatch.setattr(sys, "argv", ["insightmart", *arguments])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return int(ended.value.code or 0), said.out, said.err

    def json(self, *arguments: str) -> dict[str, Any]:
        """What a successful command prints with --json."""
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found


def _copy_project(to: Path) -> Path:
    """The files that SQLMesh reads, and one file of unit tests."""
    to.mkdir()
    for name in FILES:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, to / name)
    (to / UNIT_TESTS).parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / UNIT_TESTS, to / UNIT_TESTS)
    return to


@pytest.fixture
def workshop(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, Path | None], Workshop]:
    """``workshop(home, project)``: copies of a home and of a project's files (None: the repository's) for one test.

    The commands use them.
    """

    def make(home: Path, project: Path | None = None) -> Workshop:
        shutil.copytree(home, settings.home, dirs_exist_ok=True)
        if project is None:
            _copy_project(tmp_path / "project")
        else:
            shutil.copytree(project, tmp_path / "project")
        monkeypatch.setattr("insightmart.transform.transformer.PROJECT", tmp_path / "project")
        return Workshop(settings.home, tmp_path / "project")

    return make


@pytest.fixture(scope="session")
def dev_built(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A change built in the environment dev: every order is charged one dollar more for shipping."""
    root = tmp_path_factory.mktemp("dev")
    shutil.copytree(built_home, root / "home")
    shop = Workshop(root / "home", _copy_project(root / "project"))
    shop.edit(
        "models/core/fct_orders__source.sql", "COALESCE(o.shipping_amount, 0)", "COALESCE(o.shipping_amount, 0) + 1"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIGHTMART_HOME", str(shop.home))
        patch.setenv("INSIGHTMART_START", START.isoformat())
        patch.setenv("INSIGHTMART_GATEWAY", "local")
        shop.plan("dev")
    return shop


@pytest.fixture
def insightmart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line."""
    return CommandLine(monkeypatch, capsys)
