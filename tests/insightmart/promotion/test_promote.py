"""`insightmart promote` on a warehouse that the real project has built: what it publishes, shows and refuses.

The change under review: every order is charged one dollar more for shipping, and in all.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from filelock import FileLock
from markdown_it import MarkdownIt
from markdown_it.token import Token

from insightmart.promotion.approval import FINISHED
from insightmart.promotion.definition_texts import text_difference
from insightmart.promotion.diff import Month, Sample, TableDiff
from insightmart.promotion.reach import Reach
from insightmart.promotion.review import Change, Review, as_markdown, write_review
from insightmart.transform.model_graph import own_models

if TYPE_CHECKING:
    from conftest import CommandLine, Workshop

pytestmark = pytest.mark.slow

MODEL = "models/core/fct_orders__source.sql"
REFUNDS = "models/certified/fct_refunds__source.sql"
ORDERS = "SELECT COUNT(*), SUM(shipping_amount) FROM certified.fct_orders"
IN_PROD, THEN = [(114, Decimal("138.6"))], [(114, Decimal("252.6"))]


@pytest.fixture
def dev(dev_built: Workshop, workshop: Callable[..., Workshop]) -> Workshop:
    """The change built in dev, to be spoilt by a test."""
    return workshop(dev_built.home, dev_built.project)


@pytest.fixture
def unchanged(built_home: Path, workshop: Callable[..., Workshop]) -> Workshop:
    """Prod alone, with the files it was built from."""
    return workshop(built_home)


def refused(shop: Workshop, insightmart: CommandLine, *arguments: str) -> str:
    """Promote, be refused with exit code 1 and one line, and find every certified row as it was. Returns the line."""
    before = shop.certified()
    code, out, err = insightmart("promote", "dev", "--yes", *arguments)
    assert code == 1, out + err
    assert shop.certified() == before
    assert shop.rows("SELECT status, plan_id FROM ops.runs WHERE command = 'promote'") == [("failed", None)]
    (line,) = [line for line in err.splitlines() if line.startswith("insightmart: ")]
    return line


def test_a_promotion_shows_every_difference_and_publishes_exactly_what_was_built(
    dev: Workshop, insightmart: CommandLine
) -> None:
    assert dev.rows(ORDERS) == IN_PROD
    dry = insightmart.json("promote", "dev", "--dry-run", "--as-of", "2026-03-06T10:30")
    assert dry["promoted"] is False
    assert dev.rows(ORDERS) == IN_PROD
    tables = {table["table"]: table for table in dry["tables"]}
    assert {name for name, table in tables.items() if table["changed_columns"]} == {
        "certified.fct_orders",
        "certified.agg_sales_hourly",
        "certified.agg_sales_daily",
    }
    orders = tables["certified.fct_orders"]
    assert (orders["rows_before"], orders["rows_after"], orders["rows_changed"]) == (114, 114, 114)
    assert (orders["rows_added"], orders["rows_removed"]) == (0, 0)
    assert orders["changed_columns"] == {"shipping_amount": 114, "total_amount": 114}
    (month,) = orders["months"]
    assert month["month"] == "2026-03-01"
    assert month["totals"]["shipping_amount"] == ["138.6000", "252.6000"]
    assert month["totals"]["gross_sales"][0] == month["totals"]["gross_sales"][1]
    assert "certified.dim_stores" in dry["unchanged_tables"]
    assert {gate["gate"] for gate in dry["gates"]} == {"gate.sales__oltp", "gate.sales__shopify"}
    own = [change for change in dry["changes"] if change["what"] == "its definition changed"]
    texts = {change["model"]: change["lines"] for change in own}
    assert texts.keys() == {"core.fct_orders__oltp", "core.fct_orders__shopify"}
    lines = [line.strip() for line in texts["core.fct_orders__oltp"] if line.startswith(("+", "-"))]
    assert any(line.startswith("-") and "COALESCE(o.shipping_amount, 0)" in line for line in lines), lines
    assert any(line.startswith("+") and "COALESCE(o.shipping_amount, 0) + 1" in line for line in lines), lines
    assert {len(change["lines"]) for change in dry["changes"] if change not in own} == {0}
    reach = {one["changed"]: one["columns"] for one in dry["reach"]}
    assert reach.keys() == {
        f"core.fct_orders__{source}.{column}"
        for source in ("oltp", "shopify")
        for column in ("shipping_amount", "total_amount")
    }
    assert reach["core.fct_orders__oltp.shipping_amount"]["certified.fct_orders"] == ["shipping_amount"]
    assert reach["core.fct_orders__oltp.shipping_amount"]["certified.agg_sales_daily"] == ["shipping", "total_sales"]
    assert reach["core.fct_orders__oltp.total_amount"] == {"certified.fct_orders": ["total_amount"]}

    folder = dev.home / "promotions" / "dev-20260306T103000"
    assert json.loads((folder / "promotion.json").read_text(encoding="utf-8")) == dry
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "3 certified tables change" in page
    assert "http" not in page.replace("http-equiv", "")  # complete in itself
    assert "<ins>+" in page
    comment = (folder / "promotion.md").read_text(encoding="utf-8")
    assert "| 2026-03 | `shipping_amount` | 138.6 | 252.6 | +114 |" in comment
    assert "| `core.fct_orders__oltp.total_amount` | `certified.fct_orders`: `total_amount`<br> |" in comment
    code, out, _ = insightmart("promote", "dev", "--dry-run", "--markdown", "--as-of", "2026-03-06T10:30")
    assert (code, out) == (0, comment)

    code, out, err = insightmart("promote", "dev", "--yes", "--as-of", "2026-03-06T10:30")
    assert code == 0, err
    assert "certified.fct_orders" in out
    assert dev.rows(ORDERS) == THEN
    with dev.context() as context:
        prod, built = (context.state_reader.get_environment(name) for name in ("prod", "dev"))
        assert prod is not None
        assert built is not None
        assert {s.snapshot_id for s in prod.snapshots} == {s.snapshot_id for s in built.snapshots}
    runs = dev.rows("SELECT status, plan_id FROM ops.runs WHERE command = 'promote' ORDER BY started_at")
    assert runs == [("succeeded", None), ("succeeded", None), ("succeeded", prod.plan_id)]

    with duckdb.connect(str(dev.home / "state.duckdb")) as state:  # as one that is killed before all views show it
        state.execute("UPDATE sqlmesh._environments SET finalized_ts = NULL WHERE name = 'prod'")
    with dev.warehouse() as warehouse:
        warehouse.execute("DROP VIEW certified.agg_sales_hourly")
    code, _, err = insightmart("promote", "dev", "--dry-run", "--as-of", "2026-03-06T10:30")
    assert (code, err.splitlines()[-1]) == (
        1,
        "insightmart: the last plan of prod has not finished."
        " `insightmart promote` without --dry-run finishes it, and so does a cycle",
    )
    finished = insightmart.json("promote", "dev", "--yes", "--as-of", "2026-03-06T10:30")
    assert finished == {"promoted": False, "finished": True}
    assert dev.rows("SELECT summary FROM ops.runs WHERE command = 'promote' ORDER BY started_at DESC LIMIT 1") == [
        (json.dumps(FINISHED),)
    ]
    assert dev.rows(ORDERS) == THEN
    assert dev.rows("SELECT COUNT(*) > 0 FROM certified.agg_sales_hourly") == [(True,)]
    # the journal goes by the run's now, not by the clock
    last = "SELECT published_at, plan_id FROM ops.publications ORDER BY publication DESC LIMIT 1"
    assert dev.rows(last) == [(datetime(2026, 3, 6, 10, 30), prod.plan_id)]
    # nothing was computed for it
    assert dev.rows("SELECT COUNT(*) FROM ops.run_intervals WHERE run_id LIKE 'promote%'") == [(0,)]
    again = json.loads((dev.home / "promotions" / "dev-20260306T103000-3" / "promotion.json").read_text())
    assert again["promoted"] is True
    assert again["plan_id"] == prod.plan_id

    code, out, _ = insightmart("promote", "dev", "--yes")
    assert (code, out) == (0, "dev is what prod is\n")
    dev.edit(MODEL, "COALESCE(l.units, 0)", "COALESCE(l.units, 1)")
    code, _, err = insightmart("promote", "dev", "--yes")
    assert code == 1
    assert "dev was not built from these files" in err


def test_every_reason_against_a_promotion_is_named(dev: Workshop, insightmart: CommandLine, tmp_path: Path) -> None:
    # another change reached prod meanwhile
    other = dev.colleague(tmp_path / "other")
    other.edit(REFUNDS, "refund_id::VARCHAR", "TRIM(refund_id)::VARCHAR")
    other.plan("prod", skip_backfill=True)
    # an hour of the candidates was scanned again and refused
    latest = "(SELECT MAX_BY(scan_id, scanned_at) FROM ops.check_results WHERE area = 'sales__oltp')"
    with dev.warehouse() as warehouse:
        warehouse.execute(
            "INSERT INTO ops.check_results SELECT * REPLACE ('later' AS scan_id, 'fail' AS outcome, 'critical' AS"
            " severity, 'an order counts once' AS check_name, '3' AS value, TIMESTAMP '2026-03-06 08:00' AS"
            " window_start, TIMESTAMP '2026-03-06 09:00' AS window_end, scanned_at + INTERVAL 1 HOUR AS scanned_at)"
            f" FROM ops.check_results WHERE scan_id = {latest} LIMIT 1"
        )
    # files were edited since dev was planned: a model, what a unit test expects, and a model that the linter refuses
    dev.edit(MODEL, "COALESCE(l.line_count, 0)", "COALESCE(l.line_count, 1)")
    path = dev.project / dev.unit_tests
    expected = path.read_text(encoding="utf-8").rsplit("10:59", 1)
    path.write_text("10:58".join(expected), encoding="utf-8")
    (dev.project / "models" / "star.sql").write_text(
        "MODEL (name core.star, kind VIEW, owner me, description 'd');\nSELECT * FROM raw.no_such_table\n",
        encoding="utf-8",
    )
    line = refused(dev, insightmart)
    assert "1 unit test failed: refunds_of_shopify_are_the_scanned_window. Run `sqlmesh test`" in line
    assert "the linter found errors. Run `sqlmesh lint`" in line
    assert "dev was not built from these files: core.fct_orders__oltp, core.fct_orders__shopify" in line
    assert "prod has moved on: it holds a later version of certified.fct_refunds__oltp, certified.fct_refunds__" in line
    assert "gate.sales__oltp refused 2026-03-06 08:00 to 2026-03-06 09:00 UTC: an order counts once (found 3)" in line


def test_what_moved_below_the_environment_is_refused(dev: Workshop, insightmart: CommandLine) -> None:
    window = ("--from", "2026-03-05T03:00", "--to", "2026-03-05T05:00", "--as-of", "2026-03-06T10:05")
    code, _, err = insightmart("restate", "staging._oltp_orders", *window, "--yes")
    assert code == 0, err
    with dev.warehouse() as warehouse:  # no scan of the candidates is on record
        warehouse.execute("DELETE FROM ops.check_results WHERE area = 'sales__shopify'")
    line = refused(dev, insightmart)
    assert "prod would have to compute core." in line
    assert "2026-03-05 03:00 to 2026-03-05 05:00 UTC" in line
    assert "Run `sqlmesh plan dev` again" in line
    assert "gate.sales__shopify has not scanned core.agg_sales_hourly__shopify, core.fct_orders__shopify" in line
    assert "2026-03-05 00:00 to 2026-03-06 10:00 UTC" in line


def test_every_change_of_a_candidate_is_scanned_again(unchanged: Workshop, insightmart: CommandLine) -> None:
    from sqlmesh.core.snapshot.definition import SnapshotChangeCategory

    # a column at the end is what SQLMesh by itself calls non-breaking, leaving the gate alone
    last = "  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */\nFROM placed"
    unchanged.edit(MODEL, last, last.replace(" /*", ", /*").replace("\nFROM", "\n  1::INT AS one /* One */\nFROM"))
    with unchanged.context() as context:
        builder = context.plan_builder("dev", skip_tests=True, skip_backfill=True)
        snapshots = builder.build().context_diff.snapshots.values()
        planned = {snapshot.name: snapshot for snapshot in snapshots}
        candidate = planned['"INSIGHTMART"."CORE"."FCT_ORDERS__OLTP"']
        gate = planned['"INSIGHTMART"."GATE"."SALES__OLTP"']
        assert candidate.change_category is SnapshotChangeCategory.BREAKING
        assert gate.change_category is SnapshotChangeCategory.INDIRECT_BREAKING

        # somebody insists on it
        for name in ("OLTP", "SHOPIFY"):
            orders = planned[f'"INSIGHTMART"."CORE"."FCT_ORDERS__{name}"']
            builder.set_choice(orders, SnapshotChangeCategory.NON_BREAKING)
        context.apply(builder.build())
    line = refused(unchanged, insightmart)
    assert "gate.sales__oltp has not scanned core.fct_orders__oltp" in line
    assert "Plan it as breaking" in line


def test_a_forward_only_change_is_refused(unchanged: Workshop, insightmart: CommandLine) -> None:
    unchanged.edit(REFUNDS, "refund_id::VARCHAR", "TRIM(refund_id)::VARCHAR")
    unchanged.plan("dev", forward_only=True, skip_backfill=True)
    line = refused(unchanged, insightmart)
    assert "was planned forward-only: prod would get other rows than the gate has scanned" in line


def test_a_check_that_cannot_run_stops_the_change(unchanged: Workshop, insightmart: CommandLine) -> None:
    from sqlmesh.utils.errors import PlanError

    path = unchanged.project / "soda/checks/sales.yml"
    checks, before = path.read_text(encoding="utf-8"), unchanged.certified()
    header = "checks for ${SCHEMA}.FCT_ORDERS:\n"
    column = "  - missing_count(NO_SUCH_COLUMN) = 0:\n      attributes: {severity: critical, owner: finance}\n"
    for text, why in ((column, "NO_SUCH_COLUMN"), ("  - [unclosed\n", "YAML syntax error")):
        path.write_text(checks.replace(header, header + text), encoding="utf-8")
        with pytest.raises(PlanError):
            unchanged.plan("dev")
        values = unchanged.rows("SELECT DISTINCT outcome, value FROM ops.check_results WHERE check_name = 'scan'")
        assert {outcome for outcome, _ in values} == {"error"}
        assert any(why in value for _, value in values), values
    code, _, err = insightmart("promote", "dev", "--yes")
    assert code == 2
    assert "there is no environment 'dev'" in err
    assert unchanged.certified() == before


def test_bad_input_is_one_line_and_changes_nothing(dev: Workshop, insightmart: CommandLine) -> None:
    before = dev.certified()
    code, _, err = insightmart("promote", "nope", "--yes")
    assert (code, err) == (
        2,
        "insightmart: there is no environment 'nope' (there is: dev). Build it with `sqlmesh plan nope`\n",
    )
    code, _, err = insightmart("promote", "prod")
    assert code == 2
    assert "prod is what an environment is promoted to" in err
    with FileLock(dev.home / "writer.lock"):
        code, _, err = insightmart("promote", "dev", "--yes")
    assert code == 75
    assert len(err.splitlines()) == 1
    dev.edit(MODEL, "WITH lines AS (", "WITH lines AS ((")
    code, _, err = insightmart("promote", "dev", "--yes")
    assert code in (1, 2)
    assert "fct_orders__source.sql" in err
    assert len(err.splitlines()) == 1
    # what is published is restated as it was published, whatever the files say meanwhile
    assert insightmart("restate", "core.dim_dates", "--from", "2026-03-05", "--to", "2026-03-06", "--yes")[0] == 0
    dev.edit(MODEL, "WITH lines AS ((", "WITH lines AS (")
    path = dev.project / dev.unit_tests
    path.write_text("a_test: [unclosed\n", encoding="utf-8")
    code, _, err = insightmart("promote", "dev", "--yes")
    assert code in (1, 2)
    assert len(err.splitlines()) == 1
    (dev.project / "external_models.yaml").write_text("- name: [unclosed\n", encoding="utf-8")
    code, _, err = insightmart("promote", "dev", "--yes")
    assert code in (1, 2)
    assert len(err.splitlines()) == 1
    assert dev.certified() == before


def test_a_dirty_tree_promotes_nothing_unless_somebody_says_why(dev: Workshop, insightmart: CommandLine) -> None:
    (dev.project / ".gitignore").write_text("__pycache__/\nlogs/\n.cache/\n", encoding="utf-8")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "the change")):
        named = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
        subprocess.run(["git", *named, *arguments], cwd=dev.project, capture_output=True, check=True)
    (dev.project / "notes.txt").write_text("not committed", encoding="utf-8")
    line = refused(dev, insightmart)
    assert "the working tree differs from its commit (notes.txt): commit it, or give --allow-dirty REASON" in line
    dry = insightmart.json("promote", "dev", "--dry-run")
    assert any("notes.txt" in warning for warning in dry["warnings"])
    code, _, err = insightmart("promote", "dev", "--yes", "--allow-dirty", " ")
    assert (code, "--allow-dirty must say why" in err) == (2, True)
    dirty = ("--allow-dirty", "an outage, ticket 4711")
    code, _, err = insightmart("promote", "dev", "--yes", *dirty, "--approved-by", "Somebody")
    assert (code, "Somebody wrote it (somebody <somebody@example.com>)" in err) == (1, True)
    done = insightmart.json("promote", "dev", "--yes", *dirty, "--approved-by", "ana")
    entries = json.loads(insightmart("ledger", "show", "--kind", "promotion", "--json")[1])
    summaries = [entry["details"].get("summary", {}) for entry in entries]
    assert [summary.get("allow_dirty") for summary in summaries] == [dirty[1], None, None, None]
    assert (summaries[0]["approved_by"], done["approved_by"]) == ("ana", "ana")
    assert (summaries[0]["changed_files"], summaries[0]["commit"]) == (["notes.txt"], done["git_sha"])
    report = Path(summaries[0]["report"]).with_name("promotion.json").read_bytes()
    assert summaries[0]["report_sha256"] == hashlib.sha256(report).hexdigest()
    assert entries[0]["models_hash"] != entries[1]["models_hash"]
    assert insightmart("ledger", "verify")[0] == 0


def test_what_a_source_sent_stays_text_in_the_report(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    table = TableDiff("certified.fct_orders", ["sku"], rows_before=1, rows_after=1, rows_changed=1)
    table.months = [Month(None, (1, 1), {"units": (Decimal(1), Decimal(2))})]
    table.samples = [Sample("changed", {"sku": hostile}, {"units": (1, 2)}, ["units"])]
    at = datetime(2026, 3, 6, 10)
    changes = [Change("core.fct_orders", "new")]
    review = Review("dev", "local", at, at, None, 5, changes, warnings=[hostile], tables=[table])
    page = write_review(tmp_path, review).read_text(encoding="utf-8")
    assert hostile not in page
    assert page.count("&lt;script&gt;") == 2


def test_what_a_comment_holds_is_neither_html_nor_a_link_nor_a_mention(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>|[a](http://x)\n# `b` ``` @finance #12 <details>"
    table = TableDiff(hostile, ["sku"], rows_before=1, rows_after=2, rows_added=1, changed_columns={hostile: 1})
    table.months = [Month(None, (1, 2), {hostile: (Decimal(1), Decimal("-2.5"))})]
    at = datetime(2026, 3, 6, 10)
    changes = [Change(hostile, hostile, [f"+{hostile}", "```", "</details>"])]
    reach = [Reach(hostile, {hostile: [hostile]}, [hostile]), Reach("core.one")]
    review = Review(hostile, hostile, at, at, None, 5, changes, reach, [hostile], tables=[table])
    comment = as_markdown(review)
    write_review(tmp_path, review)
    assert (tmp_path / "promotion.md").read_text(encoding="utf-8") == comment
    tokens = [*walked(MarkdownIt("commonmark").enable("table").parse(comment))]
    tags = [tag for token in tokens if token.type.startswith("html") for tag in re.findall(r"<[^>]*>", token.content)]
    assert set(tags) == {"<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>", "<br>"}
    assert tags.count("<details>") == tags.count("</details>") == 3
    assert not {"link_open", "image"} & {token.type for token in tokens}
    told = [token.content for token in tokens if token.type == "text"]
    assert not any("@" in text or "#12" in text or "http" in text for text in told), told
    rows = [token for token in tokens if token.type == "tr_open"]
    assert len(rows) == (1 + 1) + (1 + 2) + (1 + 2)  # no value makes a row or a column of its own
    assert len([token for token in tokens if token.type == "td_open"]) == 7 + 2 * 5 + 2 * 2


def walked(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from walked(token.children or ())


def test_a_comment_that_is_too_long_leaves_texts_out_first_and_then_months() -> None:
    at = datetime(2026, 3, 6, 10)
    table = TableDiff("certified.fct_orders", ["sku"], rows_before=1, rows_after=2, rows_added=1)
    table.months = [Month(None, (1, 2), {})]
    review = Review("dev", "local", at, at, None, 5, [Change("core.a", "new", ["+x" * 40] * 1_000)], tables=[table])
    comment = as_markdown(review)
    assert "The texts of 1 models would make this too long; they are in `index.html`." in comment
    assert "| all rows | rows | 1 | 2 | +1 |" in comment
    table.months = [Month(None, (1, 2), {f"{'figure' * 5}{n}": (Decimal(n), Decimal(0)) for n in range(1, 2_000)})]
    comment = as_markdown(review)
    assert "The figures by month would make this too long; they are in `index.html`." in comment
    assert len(comment) < 2_000


def test_a_changed_check_is_told_as_a_change_of_the_checks(unchanged: Workshop) -> None:
    with unchanged.context() as context:
        before = {name: model.copy() for name, model in own_models(context).items()}
    unchanged.edit("audits/gross_is_quantity_times_price.sql", "ABS(gross_sales", "1 + ABS(gross_sales")
    unchanged.edit("soda/checks/customers.yml", "severity: critical", "severity: warning")
    unchanged.edit(MODEL, "COALESCE(l.units, 0)", "COALESCE(l.units, 1)")
    with unchanged.context() as context:
        after = own_models(context)
        told = {name: text_difference(before[name], after[name]) for name in ("gate.customers", "gate.products")}
        changed = [line for line in told["gate.customers"] if line.startswith(("+", "-"))]
        assert changed
        assert {line.count("severity: warning") for line in changed if line.startswith("+")} == {1}
        assert {line.count("severity: critical") for line in changed if line.startswith("-")} == {1}
        assert told["gate.products"] == []
        audited = text_difference(before["core.fct_order_lines__oltp"], after["core.fct_order_lines__oltp"])
        added = [line for line in audited if line.startswith("+")]
        assert len(added) == 1
        assert "1 + ABS(gross_sales" in added[0]
        assert "+checks for ${SCHEMA}.DIM_CUSTOMERS:" in text_difference(None, after["gate.customers"])
        assert all(line.startswith("-") for line in text_difference(before["core.dim_dates"], None))
