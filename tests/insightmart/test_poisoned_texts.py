"""Texts that would run somewhere, planted in files of stores, rows of PostgreSQL, records and errors of the shop, come
through the real readers: they are data in every output, and nothing else."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from ingestion.warehouse import open_duckdb
from insightmart.console_tables import without_control
from tests.ingestion.conftest import (  # noqa: F401 fixtures
    Drops,
    Oltp,
    OnlineShop,
    aws,
    drops,
    endpoint,
    oltp,
    oltp_dsns,
    online,
)
from tests.insightmart.test_cli import process
from tests.support.shop_documents import line, order, product

POISONS = {
    "sql": "x'); DROP TABLE raw.rejects; --",
    "html": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "formula": '=HYPERLINK("http://x.example";"x")',
    "at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "markup": "[red]owned[/red][link=http://x]y[/link]",
    "path": "../../../../etc/passwd",
    "header": "bad\r\nBcc: victim@example.com\r\n\r\n<b>body</b>",
}


@pytest.mark.slow
def test_they_are_data_everywhere(
    drops: Drops,  # noqa: F811
    endpoint: str,  # noqa: F811
    oltp: Oltp,  # noqa: F811
    online: OnlineShop,  # noqa: F811
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    for number, poison in enumerate(POISONS.values(), 1):
        cell = '"' + poison.replace('"', '""') + '"'
        drops.put(f"inventory/2026/03/05/10/store_{number:03d}.csv", f"{Drops.HEADER}{number},{cell},{cell},0,{cell}\n")
        if poison.isprintable():  # keys have no line ends in S3's own client
            drops.put(f"inventory/2026/03/05/10/{poison}.csv", Drops.HEADER)
        drops.put(f"reference/2026/03/05/store_{100 + number}.csv", f"{cell},{cell}\n{cell},1\n")
        oltp.add(
            "products", sku=f"{poison}\x1b]0;owned\x07", name=poison, list_price=1, updated_at="2026-03-05T09:00:00Z"
        )
        oltp.add("customers", customer_id=number, first_name=poison, email=poison, updated_at="2026-03-05T09:00:00Z")
        of_lines = [line(number, sku=poison, title=poison)]
        online.shop.upsert_orders([order(number, name=poison, lineItems=of_lines, sourceName=poison)])
        listed, unreadable = product(number), product(100 + number)
        unreadable["variants"][0]["price"] = poison
        for one in (listed, unreadable):
            one.update(title=poison, vendor=poison, productType=poison)
            one["variants"][0].update(sku=poison, title=poison)
        online.shop.upsert_products([listed, unreadable])
    online.shop.set_fault("report_says", {"parseErrors": list(POISONS.values()), "tableData": None})
    at = {
        "SHOPIFY_URL": online.source.url,
        "SHOPIFY_TOKEN": online.source.token,
        "AWS_ENDPOINT_URL": endpoint,
        "STORES_URL": drops.source.url,
        "OLTP_DSN": oltp.source.dsn,
        "INSIGHTMART_START": "2026-03-05",
        "INSIGHTMART_AS_OF": "2026-03-06T12:00",
    }
    done = process(home, "ingest", **at)
    assert "Traceback" not in done.stderr
    assert "\nBcc:" not in done.stderr

    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        names = [name for (name,) in warehouse.rows("SELECT name FROM raw.oltp_products ORDER BY name")]
        rejected = warehouse.value("SELECT COUNT(*) FROM raw.rejects WHERE source = 'stores'")
        titles = [title for (title,) in warehouse.rows("SELECT title FROM raw.shopify_products ORDER BY title")]
        lines = [title for (title,) in warehouse.rows("SELECT title FROM raw.shopify_order_lines ORDER BY title")]
        of_shop = warehouse.value("SELECT COUNT(*) FROM raw.rejects WHERE source = 'shopify'")
        [said] = warehouse.rows("SELECT message FROM ops.run_problems WHERE subject = 'shopify_sales_reports'")
    assert names == sorted(POISONS.values())  # nothing was run, and nothing changed
    assert rejected >= 2 * len(POISONS)
    assert titles == lines == sorted(POISONS.values())
    assert of_shop == len(POISONS)
    assert POISONS["sql"] in said[0]
    assert said[0].isprintable()
    kept = {path.name for path in (home / "quarantine").iterdir()}
    assert all(len(name) == 64 and set(name) <= set("0123456789abcdef") for name in kept)

    shown = {
        command: process(home, *command.split(), **at)
        for command in (
            "quarantine list",
            "quarantine show stores_inventory",
            "quarantine show shopify_products",
            "report",
            "status",
        )
    }
    everywhere = "SELECT sku, name FROM raw.oltp_products UNION ALL SELECT sku, title FROM raw.shopify_order_lines"
    asked = process(home, "sql", "--csv", everywhere, **at)
    for command, one in {**shown, "sql": asked}.items():
        assert one.returncode in (0, 1), (command, one.stderr)
        assert "Traceback" not in one.stderr, command
        assert {
            text
            for text in (one.stdout if command != "sql" else "", one.stderr)
            if without_control(text.replace("\n", "")) != text.replace("\n", "")
        } == set()
    cells = [cell for row in csv.reader(io.StringIO(asked.stdout)) for cell in row]
    assert any(POISONS["formula"] in cell for cell in cells)
    assert [cell for cell in cells if cell.lstrip()[:1] in ("=", "+", "-", "@")] == []
    pages = "".join(path.read_text(encoding="utf-8") for path in (home / "status").rglob("*.html"))
    assert POISONS["html"] not in pages
