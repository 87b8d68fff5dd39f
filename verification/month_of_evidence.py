"""A simulated month whose every figure must be explained, closed and computed again.

Plays 33 days of the sandbox, a cycle a day: with late corrections, hours that a gate holds back, cycles that are
killed, a model that is changed by a reviewed commit, and a close. Then picks past figures at random and has them
computed again. What it checks, and ends with an error where one does not hold:

- after every cycle the entries of the journal add up to certified, cell by cell, of sales and of stock;
- until the model changes, certified net sales are the truth of the simulated business;
- closed and adjustments are what certified says; the ledger verifies;
- every figure that was picked is the same again.

    python verification/month_of_evidence.py [--home DIR] [--seed 1] [--figures 30]

It takes about twenty minutes, and leaves the home where --home is given.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

PROJECT = Path(__file__).resolve().parents[1]
FIRST, LAST = date(2026, 3, 6), date(2026, 4, 7)  # cycles at five past midnight UTC
MODEL_CHANGES = date(2026, 3, 20)
CLOSES = date(2026, 4, 2)
KILLED = 5  # cycles
MODEL = "models/core/fct_orders__source.sql"
DOLLAR_MORE = {
    "COALESCE(o.shipping_amount, 0)": "COALESCE(o.shipping_amount, 0) + 1",
    "    o.total_amount,\n": "    o.total_amount + 1 AS total_amount,\n",
}
TABLES = ("agg_sales_daily", "agg_inventory_daily", "fct_orders", "fct_order_lines", "fct_refunds", "fct_inventory")

# What certified says and the journal does not, or the other way round.
DISAGREEMENTS = {
    "agg_sales_daily": """
        SELECT business_date, store_id, channel, orders, net_sales FROM certified.agg_sales_daily
    """,
    "agg_inventory_daily": """
        SELECT business_date, store_id, NULL AS channel, COUNT(*) AS products, SUM(closing_on_hand)
        FROM certified.agg_inventory_daily GROUP BY business_date, store_id
    """,
}
JOURNAL = """
    SELECT business_date, store_id, channel, {measures} FROM ops.published_changes WHERE table_name = '{table}'
    QUALIFY ROW_NUMBER() OVER (PARTITION BY business_date, store_id, channel ORDER BY publication DESC) = 1
"""
MEASURES = {"agg_sales_daily": ("orders", "net_sales"), "agg_inventory_daily": ("products", "closing_on_hand")}


class Untrue(Exception):
    """Something that must hold does not."""


class Month:
    """The business, the pipeline in a clone of its own, and what happened to them."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.chance = home, random.Random(seed)
        self.project = home / "project"
        self.events: list[str] = []
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(self.project)], check=True)
        self.environment = {
            **os.environ,
            "INSIGHTMART_HOME": str(home / "var"),
            "PYTHONPATH": str(self.project),
            "PYTHON_DOTENV_DISABLED": "1",
        }
        self.call("sandbox", "up", "--size", "tiny", "--seed", str(seed), "--parent", str(os.getpid()))
        self.environment |= json.loads(self.call("sandbox", "env", "--json"))

    def call(self, *arguments: str, expected: Sequence[int] = (0,)) -> str:
        """What a command prints; it must end as expected."""
        done = subprocess.run(
            [sys.executable, "-m", "insightmart.cli", *arguments],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in expected:
            raise Untrue(f"insightmart {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-1500:]}")
        return done.stdout

    def day(self, day: date) -> None:
        """A day of business and its cycle, which may be killed first."""
        if day > FIRST:
            self.call("sandbox", "advance", "--hours", "24")
        as_of = f"{day}T00:05"
        if self.chance.random() < KILLED / 33:
            self._kill_cycle(as_of)
        self.call("cycle", "--as-of", as_of, expected=(0, 1))  # a gate may hold something back

    def _kill_cycle(self, as_of: str) -> None:
        started = subprocess.Popen(
            [sys.executable, "-m", "insightmart.cli", "cycle", "--as-of", as_of],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        waited = self.chance.uniform(3.0, 12.0)
        time.sleep(waited)
        if started.poll() is None:
            self.events.append(f"{as_of}: cycle killed after {waited:.1f} s")
        started.kill()
        started.wait()

    def change_model(self, day: date) -> None:
        """Every order is charged a dollar more for shipping, and in all: committed, built, scanned, promoted."""
        path = self.project / MODEL
        text = path.read_text(encoding="utf-8")
        for old, new in DOLLAR_MORE.items():
            if text.count(old) != 1:
                raise Untrue(f"{MODEL} says {old!r} {text.count(old)} times")
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        for test in (self.project / "tests").rglob("*.yaml"):  # the examples that hold it go with it
            if test.name != "test_fct_refunds.yaml":
                test.unlink()
        who = ("-c", "user.name=analytics engineer", "-c", "user.email=analytics@example.com")
        subprocess.run(
            ["git", *who, "commit", "--quiet", "--all", "--message", "A dollar more for shipping"],
            cwd=self.project,
            check=True,
        )
        as_of = f"{day}T00:30"
        subprocess.run(
            [
                str(Path(sys.executable).with_name("sqlmesh")),
                "plan",
                "dev",
                "--auto-apply",
                "--no-prompts",
                "--skip-tests",
                "--execution-time",
                as_of,
            ],
            cwd=self.project,
            env=self.environment,
            check=True,
            capture_output=True,
        )
        self.call("promote", "dev", "--yes", "--as-of", as_of)
        self.events.append(f"{as_of}: a changed model became prod, by a promoted commit")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What the warehouse answers."""
        with duckdb.connect(str(self.home / "var" / "INSIGHTMART.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def check_journal(self, day: date) -> None:
        """The journal is certified."""
        for table, now in DISAGREEMENTS.items():
            measures = MEASURES[table]
            shown = JOURNAL.format(table=table, measures=", ".join(f"{name}_after" for name in measures))
            gone = " AND ".join(f"{name}_after IS NULL" for name in measures)
            shown = f"SELECT * FROM ({shown}) AS j WHERE NOT ({gone})"
            for first, second in ((now, shown), (shown, now)):
                if found := self.query(f"({first}) EXCEPT ALL ({second}) LIMIT 3"):
                    raise Untrue(f"{day}: journal and certified.{table} differ: {found}")

    def check_truth(self, day: date) -> None:
        """Certified net sales are what was sold, unless something of it is held back."""
        truth = json.loads(self.call("sandbox", "truth", "--json"))
        sold = sum(Decimal(str(row["net_sales"])) for row in truth["agg_sales_daily"])
        ((found,),) = self.query("SELECT COALESCE(SUM(net_sales), 0) FROM certified.agg_sales_daily")
        if found != sold:
            raise Untrue(f"{day}: certified net sales are {found}, sold was {sold}")

    def reproduce(self, figures: int) -> list[str]:
        """Past figures picked at random, computed again; what each came to."""
        said = []
        for _ in range(figures):
            table = self.chance.choice(TABLES)
            instants = self.query("SELECT DISTINCT published_at FROM ops.publications ORDER BY 1")
            instant: datetime = self.chance.choice(instants)[0]
            where = self._some_figure(table, instant)
            command = ["reproduce", table, "--as-published", instant.isoformat(), "--where", where]
            out = self.call(*command, expected=(0, 1))
            said.append(f"{instant:%m-%d %H:%M} {table} {where}: {out.strip().splitlines()[-1]}")
            print(f"  {said[-1]}", flush=True)
            if "are equal" not in out:
                raise Untrue(f"insightmart {' '.join(command)}: {out}")
        return said

    def _some_figure(self, table: str, instant: datetime) -> str:
        by = f"published_at <= TIMESTAMP '{instant}'"
        if table.startswith("fct_"):
            hours = self.query(
                f"SELECT DISTINCT part, event_hour FROM ops.published_digests WHERE {by}"
                f" AND STARTS_WITH(part, '{table}__') ORDER BY 1, 2"
            )
            part, hour = self.chance.choice(hours)
            return f"part = '{part}' AND event_hour = TIMESTAMP '{hour}'"
        shown = ", ".join(f"{name}_after" for name in MEASURES[table])
        cells = self.query(
            f"SELECT DISTINCT business_date, store_id FROM (SELECT * FROM ops.published_changes WHERE {by}"
            f" AND table_name = '{table}' QUALIFY ROW_NUMBER() OVER"
            " (PARTITION BY business_date, store_id, channel ORDER BY publication DESC) = 1) AS latest"
            f" WHERE COALESCE({shown}) IS NOT NULL ORDER BY 1, 2"
        )
        day, store = self.chance.choice(cells)
        return f"business_date = DATE '{day}' AND store_id = {store}"


def play(home: Path, seed: int, figures: int) -> Mapping[str, Any]:
    """The whole month; what happened."""
    month = Month(home, seed)
    try:
        day = FIRST
        while day <= LAST:
            month.day(day)
            month.check_journal(day)
            if day < MODEL_CHANGES:
                month.check_truth(day)
            elif day == MODEL_CHANGES:
                month.change_model(day)
                month.check_journal(day)
            if day == CLOSES:
                month.call(
                    "close", "2026-03", "--override", "a close at the end of the month", "--as-of", f"{day}T01:00"
                )
                month.events.append(f"{day}: March closed")
            print(f"{day}: journal = certified", flush=True)
            day += timedelta(days=1)
        closed = month.call("close", "--json")
        verified = month.call("ledger", "verify").strip().splitlines()[-1]
        causes = month.query("SELECT cause, COUNT(*) FROM ops.published_changes GROUP BY 1 ORDER BY 1")
        adjusted = month.query("SELECT COUNT(*) FROM certified.finance_adjustments")[0][0]
        print(f"{verified}\n{causes}\n{adjusted} adjustments\n{closed}", flush=True)
        same = month.reproduce(figures)
        return {
            "events": month.events,
            "ledger": verified,
            "causes": causes,
            "closed": json.loads(closed),
            "adjustments": adjusted,
            "figures": len(same),
        }
    finally:
        month.call("sandbox", "down")


def main() -> int:
    """Play it, and say what happened."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--home", type=Path, help="an empty folder to work in, and to leave")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--figures", type=int, default=30, help="past figures to compute again")
    asked = parser.parse_args()
    try:
        if asked.home:
            asked.home.mkdir(parents=True)
            told = play(asked.home, asked.seed, asked.figures)
        else:
            with tempfile.TemporaryDirectory(prefix="month-of-evidence-") as folder:
                told = play(Path(folder), asked.seed, asked.figures)
    except Untrue as error:
        print(f"NOT TRUE: {error}", file=sys.stderr)
        return 1
    print(json.dumps(told, indent=1, default=str))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
