"""Real input, counted against published sums: UCI Online Retail through the whole pipeline.

Loads every invoice line of UCI Online Retail (Chen, Sain, Guo 2012, CC BY 4.0; 541,909 rows, sum of Quantity x
UnitPrice 9,747,747.934) into the sandbox's PostgreSQL as orders, order lines and refunds, runs the pipeline month by
month as its user would, and checks that rows and money in `certified` plus rows and money in `quarantine` equal the
published figures exactly. The data set is not part of this repository.

    python verification/online_retail.py online_retail.parquet [--home DIR]

Mapping: an invoice is an order of store 1; a line of a 'C' invoice is a refund whose order is not known; 'A' invoices
("Adjust bad debt") get ids above nine thousand million. Amounts stay as they are, also where a rule will refuse them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg

from sandbox.state import SandboxState

PROJECT = Path(__file__).resolve().parents[1]
PUBLISHED_ROWS = 541_909
PUBLISHED_MONEY = Decimal("9747747.934")
MONTH_ENDS = [f"2011-{month:02d}-01T00:05" for month in range(1, 13)] + ["2011-12-10T00:05"]

INVOICE_LINES = """
    CREATE VIEW invoice_lines AS
    SELECT
        *,
        CAST(UnitPrice AS DECIMAL(12, 4)) AS unit_price,
        CAST(regexp_replace(InvoiceNo, '^[A-Z]', '') AS BIGINT)
            + CASE WHEN InvoiceNo LIKE 'A%' THEN 9000000000 ELSE 0 END AS order_id,
        row_number() OVER (PARTITION BY InvoiceNo ORDER BY file_row_number) AS line_number,
        row_number() OVER (ORDER BY file_row_number) AS refund_id
    FROM read_parquet($path, file_row_number = true)
"""
TABLES = {
    "orders": """
        SELECT order_id, CAST(any_value(CustomerID) AS BIGINT), 1, 'store', 'completed', false, 'GBP',
            min(InvoiceDate), 0, 0, 0, NULL, min(InvoiceDate)
        FROM invoice_lines WHERE InvoiceNo NOT LIKE 'C%' GROUP BY order_id""",
    "order_lines": """
        SELECT order_id, line_number, StockCode, Quantity, unit_price, 0, 0,
            min(InvoiceDate) OVER (PARTITION BY InvoiceNo)
        FROM invoice_lines WHERE InvoiceNo NOT LIKE 'C%'""",
    "refunds": """
        SELECT refund_id, NULL, NULL, -Quantity, -Quantity * unit_price, InvoiceNo, InvoiceDate, InvoiceDate
        FROM invoice_lines WHERE InvoiceNo LIKE 'C%'""",
}
# What came out: rows and money per place; a refund is money that went out.
RESULT = """
    SELECT 'certified.fct_order_lines' AS place, '' AS reasons, count(*) AS row_count, sum(gross_sales) AS money
    FROM certified.fct_order_lines
    UNION ALL
    SELECT 'certified.fct_refunds', '', count(*), -sum(refund_amount) FROM certified.fct_refunds
    UNION ALL
    SELECT 'quarantine.oltp_order_lines', reasons, count(*), sum(quantity * unit_price)
    FROM quarantine.oltp_order_lines GROUP BY reasons
    UNION ALL
    SELECT 'quarantine.oltp_refunds', reasons, count(*), -sum(refund_amount)
    FROM quarantine.oltp_refunds GROUP BY reasons
    ORDER BY place, row_count DESC
"""


def main() -> int:
    """Run the verification; 0 when rows and money are exactly the published ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parquet", type=Path, help="online_retail.parquet")
    parser.add_argument("--home", type=Path, help="an empty directory to work in (default: a temporary one, kept)")
    arguments = parser.parse_args()
    home = (arguments.home or Path(tempfile.mkdtemp(prefix="online-retail-"))).resolve()
    environment = {**os.environ, "INSIGHTMART_HOME": str(home)}
    _run(environment, sys.executable, "-m", "sandbox", "up", "--empty", "--parent", str(os.getpid()))
    try:
        told = _run(environment, sys.executable, "-m", "sandbox", "env", "--json", capture=True)
        environment |= json.loads(told)
        environment |= {
            "INSIGHTMART_START": "2010-12-01",
            "INSIGHTMART_CURRENCY": "GBP",
            "INSIGHTMART_TIMEZONE": "Europe/London",
        }
        environment.pop("INSIGHTMART_AS_OF", None)
        fill(arguments.parquet, SandboxState.load(home).admin_dsn)
        for instant in MONTH_ENDS:
            print(f"cycle as of {instant}", flush=True)
            _run(environment, sys.executable, "-m", "insightmart.cli", "cycle", "--as-of", instant)
    finally:
        _run(environment, sys.executable, "-m", "sandbox", "down")
    return compare(home / "INSIGHTMART.duckdb")


def fill(parquet: Path, dsn: str) -> None:
    """Copy the invoices into the OLTP's tables."""
    source = duckdb.connect()
    source.execute(INVOICE_LINES.replace("$path", "'" + str(parquet).replace("'", "''") + "'"))
    with tempfile.TemporaryDirectory() as scratch, psycopg.connect(dsn) as target, target.cursor() as cursor:
        for table, query in TABLES.items():
            exported = Path(scratch) / f"{table}.csv"
            source.execute(f"COPY ({query}) TO '{exported}' (FORMAT csv, HEADER false)")
            with exported.open("rb") as rows, cursor.copy(f"COPY public.{table} FROM STDIN (FORMAT csv)") as copy:
                while block := rows.read(1 << 20):
                    copy.write(block)


def compare(database: Path) -> int:
    """Print where every row and every penny went; 0 when the sums are the published ones."""
    rows = duckdb.connect(str(database), read_only=True).execute(RESULT).fetchall()
    print(f"{'where':<30} {'reasons':<45} {'rows':>9} {'money':>18}")
    for place, reasons, count, money in rows:
        print(f"{place:<30} {reasons:<45} {count:>9,} {money:>18,.4f}")
    found_rows, found_money = sum(row[2] for row in rows), sum((row[3] for row in rows), Decimal(0))
    print(f"{'all':<76} {found_rows:>9,} {found_money:>18,.4f}")
    print(f"{'published':<76} {PUBLISHED_ROWS:>9,} {PUBLISHED_MONEY:>18,.4f}")
    unexplained = [row for row in rows if row[0].startswith("quarantine.") and not row[1]]
    exact = found_rows == PUBLISHED_ROWS and found_money == PUBLISHED_MONEY and not unexplained
    print("exact" if exact else "DIFFERENT")
    return 0 if exact else 1


def _run(environment: dict[str, str], *command: str, capture: bool = False) -> str:
    done = subprocess.run(
        command, env=environment, cwd=PROJECT, check=True, text=True, stdout=subprocess.PIPE if capture else None
    )
    return done.stdout or ""


if __name__ == "__main__":
    raise SystemExit(main())
