"""Cycles as cron runs them, beside a PostgreSQL that keeps them waiting: ended, gone on without, exact in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sandbox.state import SandboxState
from tests.faults.proxy import Fault, Proxy
from tests.support.built_homes import copy_home
from tests.support.whole_cycles import Place, Sandbox, tied_to_the_truth

pytestmark = pytest.mark.slow


def test_a_cycle_past_its_time_is_ended_and_a_source_that_hangs_holds_back_only_its_own(
    sandbox: Sandbox, first_cycle: Callable[[Sandbox], Path]
) -> None:
    place = Place(copy_home(first_cycle(sandbox) / "home", sandbox.home.parent / "limits"), sandbox.settings)
    sandbox.call("advance", "--hours", "10")  # until somebody buys who has registered since midnight
    of_stores = "SELECT COUNT(*) FROM certified.fct_orders WHERE source_system = 'oltp'"
    online = "SELECT COUNT(*) FROM certified.fct_orders WHERE source_system = 'shopify'"
    [(before,)] = place.query(of_stores)

    # PostgreSQL computes, so it is waited for, until the time of the whole cycle is over
    place.environment["CYCLE_LIMIT"] = "1"  # for each of the ten hours
    with psycopg.connect(SandboxState.load(sandbox.home).admin_dsn) as holder:
        holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        ended = place.run("insightmart", "cycle", "--as-of", "2026-03-06T10:05")
    assert ended.returncode == 1, ended.stderr
    [(status, summary)] = place.query("SELECT status, summary FROM ops.runs ORDER BY started_at DESC LIMIT 1")
    assert (status, summary) == ("failed", "{}")
    [(message,)] = place.query("SELECT message FROM ops.run_problems WHERE kind = 'time limit'")
    assert message.startswith("the cycle was not through within 10 s and was ended, at: PostgreSQL")
    assert "was ended: its time was over" in (place.home / "status" / "index.html").read_text(encoding="utf-8")
    assert place.query(of_stores) == [(before,)]

    # it says nothing any more in the middle of its rows: the other sources are published
    del place.environment["CYCLE_LIMIT"]
    port = int(str(conninfo_to_dict(sandbox.settings["OLTP_DSN"])["port"]))
    with Proxy(port) as proxy:
        proxy.set(Fault("stall", after=3_000))
        place.environment["OLTP_DSN"] = make_conninfo(sandbox.settings["OLTP_DSN"], port=proxy.port)
        place.environment["SOURCE_SILENCE_LIMIT"] = "4"
        without = place.run("insightmart", "cycle", "--as-of", "2026-03-06T10:06")
    assert without.returncode == 1
    assert "PostgreSQL: oltp: the server has sent nothing for 4 s" in without.stderr, without.stderr
    assert place.query(of_stores) == [(before,)]
    published = place.query(online)
    truth = json.loads(sandbox.call("truth", "--json"))
    total = truth["certified"]["fct_orders"]["rows"]

    place.environment["OLTP_DSN"] = sandbox.settings["OLTP_DSN"]
    healed = place.run("insightmart", "cycle", "--as-of", "2026-03-06T10:07")
    assert healed.returncode == 0, healed.stderr
    assert place.query(online) == published
    unknown = "SELECT COUNT(*) FROM certified.fct_orders ANTI JOIN certified.dim_customers USING (customer_id)"
    assert place.query(f"{unknown} WHERE customer_id IS NOT NULL") == [(0,)]  # though dimensions had this hour done
    assert sum(rows for ((rows,),) in (place.query(of_stores), published)) == total
    tied_to_the_truth(place, sandbox)
