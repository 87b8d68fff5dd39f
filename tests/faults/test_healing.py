"""A cycle killed at some of its points and weeks in small: the long runs are `make kill-points` and `make soak`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.business import PRELOADED, Business, as_of, open_business
from tests.faults.kill_points import LEAST, kill_everywhere
from tests.faults.scenes import Scene
from tests.faults.soak import Soak, advance, play
from tests.faults.soak_report import rows_of
from tests.faults.troubles import TROUBLES
from tests.faults.whole import faults_of, instant, truth, unsound
from tests.support.built_homes import copy_home, set_up_home_of
from tests.support.forked import commands

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Business]:
    """A business of which a first cycle has published the first day."""
    home = copy_home(set_up_home_of(tmp_path_factory), tmp_path_factory.mktemp("faults") / "home")
    with open_business(home, "tiny") as own:
        code, said = commands().run(own.environment, "cycle", "--as-of", instant(as_of(PRELOADED)))
        assert code == 0, said
        own.advance()
        yield own


def test_a_cycle_killed_between_two_statements_is_made_good_by_the_next(business: Business) -> None:
    expected = truth(business.environment)
    command = ("insightmart", "cycle", "--as-of", instant(as_of(PRELOADED + 1)))
    some = random.Random(11).sample(range(20, LEAST), 3)
    scene = Scene(command, business.environment, PRELOADED + 1)
    killed = kill_everywhere(business.environment, command, scene.healing(commands().run), some, workers=1)
    assert sorted(one.number for one in killed.healed) == sorted(some)
    assert killed.wrong == []
    assert killed.statements > killed.images > LEAST
    assert faults_of(Path(business.environment["INSIGHTMART_HOME"]), expected) == []


def test_hours_with_a_trouble_each_are_all_published_in_the_end(business: Business) -> None:
    soak = Soak(first=PRELOADED + 2, hours=7, seed=3, share=1)
    while not soak.is_over:
        advance(business.environment)
        play(soak, business, commands(), lambda line: None)
        soak = Soak.model_validate_json(soak.model_dump_json())  # as it goes on in another sitting
    assert soak.wrong == []
    assert soak.certified == soak.done == 7
    assert soak.moments > 50
    assert soak.changes > 2
    assert sum(soak.played.get(one.name, 0) for one in TROUBLES) == 3
    assert sum(row["healed_in_its_own_cycle"] + row["hours_healed_later"] for row in rows_of(soak)) == 7


def test_a_figure_and_an_entry_changed_by_hand_are_found(business: Business, tmp_path: Path) -> None:
    """What says that all is well must be able to say the opposite."""
    expected = truth(business.environment)
    home = copy_home(Path(business.environment["INSIGHTMART_HOME"]), tmp_path / "home")
    assert faults_of(home, expected) == []
    from ingestion.warehouse import open_duckdb

    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        (table,) = warehouse.rows(
            "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '%FCT_ORDERS__OLTP%' ORDER BY 1 LIMIT 1"
        )[0]
        warehouse.execute(f'DELETE FROM "sqlmesh__CERTIFIED"."{table}" WHERE store_id = 1')
        warehouse.execute("UPDATE ops.loads SET \"ROWS\" = 0 WHERE entity = 'orders'")
    assert any(line.startswith("fct_orders: rows") for line in faults_of(home, expected))
    assert unsound(home, business.environment)
