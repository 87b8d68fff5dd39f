"""What datasets are called, by OpenLineage's conventions."""

from __future__ import annotations

import pytest

from insightmart.openlineage.dataset_names import DatasetName, DatasetNames
from insightmart.openlineage.run_events import without_user
from insightmart.settings import Settings


@pytest.mark.parametrize(
    ("dsn", "namespace", "database"),
    [
        ("postgresql://me:pw@db.example:5433/shop", "postgres://db.example:5433", "shop"),
        ("postgresql://me:pw@db.example/shop", "postgres://db.example:5432", "shop"),
        ("host=a,b port=5433,5434 dbname=shop user=me password=pw", "postgres://a:5433", "shop"),
        ("postgresql://me@[::1]:5433/shop", "postgres://[::1]:5433", "shop"),
        ("postgresql:///shop?host=/var/run/postgresql", "postgres://localhost:5432", "shop"),
        ("no dsn at all", "postgres://localhost:5432", "unknown"),
    ],
)
def test_postgresql_is_named_by_host_and_port_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, dsn: str, namespace: str, database: str
) -> None:
    monkeypatch.setenv("OLTP_DSN", dsn)
    names = DatasetNames(Settings(_env_file=None))  # type: ignore[call-arg]
    assert names.of_table("oltp.orders") == DatasetName(namespace, f"{database}.public.orders")
    assert names.of_column("oltp.orders.order_id")[1] == "order_id"


def test_what_is_not_configured_has_a_name_all_the_same(settings: Settings) -> None:
    names = DatasetNames(settings)
    assert names.of_table("stores.tills") == DatasetName("s3://unknown", "tills")
    assert names.of_table("shopify.Order") == DatasetName("shopify://unknown", "Order")
    assert names.of_column("certified.fct_orders.units") == (
        DatasetName(f"duckdb://{settings.database_path}", "INSIGHTMART.CERTIFIED.FCT_ORDERS"),
        "UNITS",
    )


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("https://me:token@git.example/team/shop.git\n", "https://git.example/team/shop.git"),
        ("git@git.example:team/shop.git", "https://git.example/team/shop.git"),
        ("ssh://git@git.example:2222/team/shop.git", "https://git.example/team/shop.git"),
        ("../hub.git", None),
        ("", None),
    ],
)
def test_a_repository_is_named_without_who_may_read_it(address: str, page: str | None) -> None:
    assert without_user(address) == page
