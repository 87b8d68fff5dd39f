"""A real PostgreSQL behind a proxy that falls silent, stalls, drips: each wait has its limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingestion.loading.context import GivenUpError, IngestContext
from ingestion.postgres.source import OltpSource, ingest
from tests.faults.proxy import Fault, Proxy

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]
pytestmark = pytest.mark.usefixtures("ends")


@pytest.fixture
def behind(oltp: Oltp) -> Iterator[tuple[Proxy, OltpSource]]:
    """A proxy before the database, and the source through it, with patience for half a second."""
    with Proxy(int(str(conninfo_to_dict(oltp.source.dsn)["port"]))) as proxy:
        dsn = make_conninfo(oltp.source.dsn, port=proxy.port)
        yield proxy, replace(oltp.source, dsn=dsn, silence_limit=0.5, connect_timeout=2)


def test_x(behind: tuple[Proxy, OltpSource], oltp: Oltp, at: At) -> None:
    proxy, source = behind
    oltp.execute(
        "INSERT INTO orders (order_id, total_amount, updated_at)"
        " SELECT n, n, '2026-03-05 09:00+00' FROM generate_series(1, 20000) AS n"
    )
    proxy.set(Fault("stall", 200_000))
    with pytest.raises(GivenUpError) as e:
        ingest(at("2026-03-05T10:00"), source, entities=["orders"])
    print(e.value)
    proxy.set(Fault())
    (r,) = ingest(at("2026-03-05T10:00"), source, entities=["orders"])
    assert r.rows == 20000
