"""Whole cycles through the public doors, on the sandbox's real services, against the truth of the generated events."""

from __future__ import annotations

import json
import os
import pickle
import signal
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from insightmart.commands.cycle import CycleResult
from insightmart.runs import ProblemKind
from insightmart.transform.transformer import Transformer
from sandbox.state import SandboxState
from tests.faults.reader import asked_between, reading
from tests.support.built_homes import copy_home, new_home
from tests.support.forked import commands
from tests.support.inbox import received
from tests.support.new_account import APART, each_role_may_do_what_it_does, set_up
from tests.support.snowflake_account import ACCOUNT
from tests.support.statements import as_the_corpus_says, counted_by_phase, sent_as_promised, unparsable
from tests.support.web_hook import web_hook
from tests.support.whole_cycles import FIRST_CYCLE, Place, Sandbox, played, tied_to_the_truth, total
from tests.support.workshop import CommandLine

pytestmark = pytest.mark.slow
PUBLISHED = 6  # of a cycle on Snowflake: after each plan of corrections and after the run readers see another state


def test_the_demo_ties_every_certified_total_to_the_truth(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It begins with an empty home; only what is cached of the project's files it shares with all homes of a run."""
    settings = {"SQLMESH__CACHE_DIR": str(new_home(tmp_path_factory, tmp_path / "shared") / "cache")}
    done = Place(tmp_path, settings).run("insightmart", "demo", "--size", "tiny", "--home", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "every total exact" in done.stdout
    assert "DIFFERS" not in done.stdout
    # the gate held an hour back, and named the check
    assert "few order lines are rejected" in done.stderr
    # the mails were really sent
    assert list((tmp_path / "demo" / "sandbox" / "inbox").glob("*.eml"))
    assert "certified" in (tmp_path / "demo" / "status" / "index.html").read_text(encoding="utf-8").lower()


def test_plain_sqlmesh_publishes_what_the_cycle_does_and_waits_and_refuses_as_it_does(
    sandbox: Sandbox, first_cycle: Callable[[Sandbox], Path]
) -> None:
    by_cycle, by_hand = Place(first_cycle(sandbox) / "home", sandbox.settings), sandbox.place("sqlmesh")
    ingest = by_hand.run("insightmart", "ingest", "--as-of", FIRST_CYCLE)
    assert ingest.returncode == 0, ingest.stderr
    plan = by_hand.run("sqlmesh", "plan", "--auto-apply", "--no-prompts", "--skip-tests", "--skip-backfill")
    assert plan.returncode == 0, plan.stdout[-2000:]
    run = by_hand.run("sqlmesh", "run")  # today, long after the data: watermarks keep it to the hours that are in
    assert run.returncode == 0, run.stdout[-2000:]

    expected = by_cycle.certified()
    assert {
        "fct_orders",
        "fct_order_lines",
        "fct_refunds",
        "fct_inventory",
        "agg_sales_hourly",
        "agg_sales_daily",
    } <= set(expected)
    assert by_hand.certified() == expected
    truth = json.loads(sandbox.call("truth", "--json"))
    found = by_hand.query("SELECT SUM(net_sales) FROM certified.agg_sales_daily")[0][0]
    assert str(found) == total(truth, "agg_sales_daily", "net_sales")

    # with the sources behind, nothing happens, however often it runs
    assert by_hand.run("sqlmesh", "run").returncode == 0
    assert by_hand.certified() == expected

    # what is late comes with what is new, and a refund of the new hour is built before its order: the cycle mends it
    sandbox.call("advance", "--hours", "1")
    assert by_hand.run("insightmart", "ingest", "--as-of", "2026-03-06T01:05").returncode == 0
    assert by_hand.run("sqlmesh", "run").returncode == 0
    mended = by_hand.run("insightmart", "cycle", "--as-of", "2026-03-06T01:05")
    assert mended.returncode == 0, mended.stderr
    assert by_hand.query("SELECT COUNT(*) > 0 FROM ops.correction_windows WHERE reason LIKE 'built before%'") == [
        (True,)
    ]
    tied_to_the_truth(by_hand, sandbox)
    expected = by_hand.certified()

    # a bad hour: nothing of that area is published, and the exit code says so
    sandbox.call("advance", "--hours", "16")
    assert by_hand.run("insightmart", "ingest", "--as-of", "2026-03-06T17:05").returncode == 0
    refused = by_hand.run("sqlmesh", "run")
    assert refused.returncode != 0
    held = by_hand.certified()
    assert [row for row in held["fct_orders"] if row[0] == "oltp"] == [
        row for row in expected["fct_orders"] if row[0] == "oltp"
    ]
    assert len(held["fct_inventory"]) > len(expected["fct_inventory"])  # other areas go on
    outcomes = by_hand.query("SELECT DISTINCT outcome FROM ops.check_results WHERE area = 'sales__oltp'")
    assert ("fail",) in outcomes


def test_a_source_that_is_down_holds_back_only_its_own_tables(first_day: Sandbox, set_up_home: Path) -> None:
    place = first_day.place("without-shop", set_up_home)
    place.environment["SHOPIFY_URL"] = "http://127.0.0.1:9"  # nothing listens there
    with web_hook() as watch:
        place.environment["HEARTBEAT_URL"] = f"http://{watch.at}/alive"
        done = place.run("insightmart", "cycle", "--as-of", "2026-03-06T00:05")
        assert (done.returncode, watch.requests) == (1, [])
        assert done.stderr.count("shopify:") >= 1
        assert first_day.settings["SHOPIFY_TOKEN"] not in done.stderr
        rows = place.query("SELECT source_system, COUNT(*) FROM certified.fct_orders GROUP BY source_system")
        assert [source for source, _ in rows] == ["oltp"]

        place.environment["SHOPIFY_URL"] = first_day.settings["SHOPIFY_URL"]
        healed = place.run("insightmart", "cycle", "--as-of", "2026-03-06T00:10")
        assert (healed.returncode, watch.requests) == (0, [("GET", "/alive", "")]), healed.stderr

        place.environment["INSIGHTMART_AS_OF"] = "2026-03-06T00:10"  # forgotten where cron finds it, an hour later
        still = place.run("insightmart", "cycle")
        assert (still.returncode, watch.requests) == (0, [("GET", "/alive", "")]), still.stderr
        assert "it still says the instant of the last cycle" in " ".join(still.stderr.split())
        del place.environment["INSIGHTMART_AS_OF"]
    title = "Sales (online), inventory (online) and products: late, or nothing certified yet"
    opened, over = (mail for mail in received(SandboxState.load(first_day.home).inbox) if title in mail["Subject"])
    assert over["In-Reply-To"] == opened["Message-ID"]
    truth = json.loads(first_day.call("truth", "--json"))
    assert place.query("SELECT COUNT(*) FROM certified.fct_orders")[0][0] == truth["certified"]["fct_orders"]["rows"]
    gross = place.query("SELECT SUM(gross_sales) FROM certified.fct_orders")[0][0]
    assert str(gross) == total(truth, "fct_orders", "gross_sales")

    earlier = place.run("insightmart", "cycle", "--as-of", "2026-03-05T12:05")
    assert earlier.returncode == 2
    assert "lies before the last run" in earlier.stderr


def test_empty_sources_make_an_empty_warehouse_without_failures(tmp_path: Path, set_up_home: Path) -> None:
    home = tmp_path / "sources"
    call = partial(commands().call, "sandbox", environment={**os.environ, "INSIGHTMART_HOME": str(home)})
    call("up", "--empty", "--start", "2026-03-05", "--parent", str(os.getpid())).check_returncode()
    try:
        told = json.loads(call("env", "--json").stdout)
        place = Place(copy_home(set_up_home, tmp_path / "pipeline"), told)
        done = place.run("insightmart", "cycle", "--as-of", "2026-03-06T00:05")
        assert done.returncode == 0, done.stderr
        assert place.query("SELECT COUNT(*) FROM certified.fct_orders") == [(0,)]
        assert place.query("SELECT MIN(store_id), MAX(store_id) FROM certified.dim_stores") == [(-1, 0)]
    finally:
        call("down").check_returncode()


@pytest.mark.parametrize(("step", "is_set_up"), [("plan", False), ("run", True)])
def test_a_killed_cycle_is_finished_by_the_next_one(
    first_day: Sandbox, set_up_home: Path, cycle_at: Callable[..., int], step: str, is_set_up: bool
) -> None:
    """Also one that has said what prod is, in the first plan of all, and made none of its views."""
    place = first_day.place(f"killed-in-{step}", set_up_home if is_set_up else None)
    assert cycle_at(place.environment, FIRST_CYCLE, step) == -signal.SIGKILL
    healed = place.run("insightmart", "cycle", "--as-of", FIRST_CYCLE)
    assert healed.returncode == 0, healed.stderr
    assert ("Finishing a plan that was killed" in healed.stderr) == (step == "plan")
    assert place.query("SELECT status FROM ops.runs ORDER BY started_at") == [("killed",), ("succeeded",)]
    tied_to_the_truth(place, first_day)


def test_who_reads_is_told_that_what_is_shown_is_older(
    sandbox: Sandbox,
    first_cycle: Callable[[Sandbox], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That something is unseen happens on Snowflake only (tests/insightmart/transform/test_shown_tables.py): here it is
    said, not so."""
    home = copy_home(first_cycle(sandbox) / "home", sandbox.home.parent / "local")
    settings = {**sandbox.settings, "INSIGHTMART_GATEWAY": "local", "INSIGHTMART_HOME": str(home)}
    monkeypatch.setattr(Transformer, "is_unseen", lambda transformer: True)
    ran, _ = played(settings, FIRST_CYCLE)
    assert ran.errors == []
    [notice] = [one for one in ran.notices if one.kind == ProblemKind.READERS]
    assert "readers are not shown what was written since" in notice.line
    assert "the next cycle that writes all of it shows it" in notice.line
    page = (home / "status" / "index.html").read_text(encoding="utf-8")
    assert "Readers have an older state: certified" in page


def test_both_engines_certify_the_same_and_refuse_the_same(
    sandbox: Sandbox,
    first_cycle: Callable[[Sandbox], Path],
    fake_account: Any,
    insightmart: CommandLine,
    cache: pytest.Cache,
) -> None:
    """A first cycle, an hour with late corrections, and 16 hours with a bad one among them, on DuckDB and through the
    Snowflake connector. The hour stays in its budget of statements, and Snowflake's dialect knows all that is sent. On
    neither do readers ever see two tables of an area that disagree.

    fakesnow stands in for the account; SQLMesh's state is in a real PostgreSQL database, as in production.
    """
    account = {**ACCOUNT, **APART, **sandbox.add_state("sqlmesh")}
    homes = {"local": sandbox.home.parent / "local", "snowflake": sandbox.home.parent / "snowflake"}
    copy_home(first_cycle(sandbox) / "home", homes["local"])
    new_home(sandbox.factory, homes["snowflake"])

    def cycle(engine: dict[str, str], as_of: str) -> tuple[CycleResult, dict[str, Any]]:
        home = homes[engine["INSIGHTMART_GATEWAY"]]
        return played({**sandbox.settings, **engine, "INSIGHTMART_HOME": str(home)}, as_of)

    def on_local(as_of: str) -> tuple[CycleResult, dict[str, Any]]:
        if as_of != FIRST_CYCLE:
            return cycle({"INSIGHTMART_GATEWAY": "local"}, as_of)
        before: tuple[CycleResult, dict[str, Any]] = pickle.loads((first_cycle(sandbox) / "played").read_bytes())
        return before

    with fake_account(sandbox.home.parent / "stages") as session:
        on_account = {**sandbox.settings, **account, "INSIGHTMART_HOME": str(homes["snowflake"])}
        set_up(on_account, insightmart, session)
        for as_of, hours, is_refused in (
            (FIRST_CYCLE, 0, False),
            ("2026-03-06T01:05", 1, False),
            ("2026-03-06T17:05", 16, True),
        ):
            if hours:
                sandbox.call("advance", "--hours", str(hours))
            with reading(homes["local"]) if hours else nullcontext() as beside:
                on_duckdb, expected = on_local(as_of)
            connected, before = len(session.connections), len(session.statements)
            with (
                counted_by_phase(session.statements) as sent,
                asked_between(session) if hours else nullcontext() as between,
            ):
                on_snowflake, found = cycle(account, as_of)
            if beside and between:
                assert beside.faults + between.faults == []
                assert beside.moments > 10
                assert beside.changes == 1
                assert between.moments > 300
                copies = sum(" CLONE " in one for one in session.statements[before:])
                assert 0 < between.changes <= copies <= PUBLISHED
            if hours == 1:
                sent_as_promised(sent, session.connections[connected:])
            for name, rows in expected.items():
                assert found[name] == rows, name
            assert on_snowflake == on_duckdb
            assert bool(on_duckdb.errors) == is_refused
            if not is_refused:
                truth = json.loads(sandbox.call("truth", "--json"))
                net_sales = str(sum(row[8] for row in found["agg_sales_daily"]))
                assert net_sales == total(truth, "agg_sales_daily", "net_sales")
    assert on_duckdb.corrections_closed > 0
    assert [one for one in session.statements if "open-sesame" in one] == []
    assert {tag["app"] for tag in session.tags} == {"insightmart"}
    each_role_may_do_what_it_does(session)
    assert sum("metering_daily_history" in one for one in session.statements) == 1  # what it costs, once a day
    assert unparsable(as_the_corpus_says(session.texts, session.origins), cache) == {}
