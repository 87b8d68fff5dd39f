"""The rival projects say what our models say, window by window, and tables that differ in a row are found."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest
import yaml
from click.testing import CliRunner
from sqlmesh import Context

from bench.cycle import Run
from bench.rivals import dbt_project, sqlmesh_project
from bench.rivals.__main__ import main
from bench.rivals.comparison import differences
from bench.rivals.dbt_project import dbt_name, model_text, told, write_project
from bench.rivals.own_models import OwnModel, own_models
from bench.rivals.play import DBT, OURS, PLAIN, WHOLE_CYCLE, Measured, share_raw
from bench.rivals.results import COLUMNS, DOES, DOES_COLUMNS, as_json, table_rows
from insightmart.settings import PROJECT
from insightmart.transform.statement_templates import Template

FILES = {
    "config.yaml": """
gateways: {local: {connection: {type: duckdb, database: HOME/INSIGHTMART.duckdb}}}
default_gateway: local
cache_dir: HOME/cache
model_defaults: {dialect: snowflake, start: 2026-03-05, cron: '@hourly', owner: data-engineering}
variables: {shop: online}
""",
    "external_models.yaml": """
- name: raw.orders
  columns: {order_id: BIGINT, ordered_at: TIMESTAMP_NTZ, loaded_at: TIMESTAMP_NTZ}
""",
    "models/staging/orders.sql": """
MODEL (name staging.orders, kind VIEW, start '1970-01-01', cron '@yearly');
SELECT order_id::BIGINT AS order_id, ordered_at::TIMESTAMPNTZ AS ordered_at, loaded_at::TIMESTAMPNTZ AS loaded_at
FROM raw.orders
""",
    "models/core/fct_orders.sql": """
MODEL (
  name core.fct_orders,
  kind INCREMENTAL_BY_TIME_RANGE (time_column ordered_at),
  audits (not_null(columns := (order_id, ordered_at)), unique_values(columns := (order_id)))
);
SELECT order_id::BIGINT AS order_id, ordered_at::TIMESTAMPNTZ AS ordered_at FROM staging.orders
""",
    "models/core/customers.sql": """
MODEL (
  name core.customers,
  kind INCREMENTAL_BY_UNIQUE_KEY (unique_key (customer_id, since), disable_restatement TRUE),
  audits (unique_combination_of_columns(columns := (customer_id, since)))
);
SELECT o.order_id::BIGINT AS customer_id, MIN(o.ordered_at)::TIMESTAMPNTZ AS since
FROM staging.orders AS o
LEFT JOIN core.customers AS known ON known.customer_id = o.order_id
WHERE o.loaded_at >= @start_ts AND known.customer_id IS NULL
GROUP BY o.order_id
""",
    "models/certified/agg_daily.sql": """
MODEL (
  name certified.agg_daily,
  kind INCREMENTAL_BY_TIME_RANGE (time_column day),
  cron '@hourly',
  interval_unit 'hour',
  depends_on (
    gate.sales__@{source}
  ),
);
SELECT ordered_at::DATE AS day, COUNT(*)::BIGINT AS orders FROM core.fct_orders
WHERE ordered_at >= @start_ds AND ordered_at < @end_date::DATE + 1 GROUP BY 1
""",
    "models/gate/sales.sql": "MODEL (name gate.sales, kind VIEW); SELECT 1::INT AS passed",
    "macros/__init__.py": "",
    "macros/rules.py": "",
    "macros/sql.py": "",
    "macros/patches.py": "raise AssertionError('a plain project has no patches')",
    "audits/none.sql": "AUDIT (name none); SELECT * FROM @this_model WHERE FALSE",
    "signals/__init__.py": "",
}
HOUR = (datetime(2026, 3, 5, 10), datetime(2026, 3, 5, 11), datetime(2026, 3, 5, 11, 5))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as ours is, of four models, without its gate being asked for."""
    home = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("HOME", str(home)))
    return home


@pytest.fixture(scope="module")
def models(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, OwnModel]:
    plain = tmp_path_factory.mktemp("plain")
    sqlmesh_project.write_project(plain / "project", plain, project, _config(project))
    context = Context(paths=str(plain / "project"))
    try:
        return {model.name: model for model in own_models(context)}
    finally:
        context.close()


def _config(project: Path) -> Any:
    from sqlmesh.core.config import Config
    from sqlmesh.core.config.loader import load_config_from_yaml

    return Config.parse_obj(load_config_from_yaml(project / "config.yaml"))


def test_a_plain_project_has_the_models_without_gates_and_patches(project: Path, tmp_path: Path) -> None:
    sqlmesh_project.write_project(tmp_path / "project", tmp_path, project, _config(project))
    files = {str(path.relative_to(tmp_path / "project")) for path in tmp_path.rglob("*") if path.is_file()}
    left_out = {"models/gate/sales.sql", "macros/patches.py"}
    assert files == FILES.keys() - left_out
    assert "gate" not in (tmp_path / "project/models/certified/agg_daily.sql").read_text()
    configured = yaml.safe_load((tmp_path / "project/config.yaml").read_text())
    assert configured["variables"] == {"shop": "online"}
    assert configured["gateways"]["local"]["connection"]["database"] == f"{tmp_path}/INSIGHTMART.duckdb"
    assert "before_all" not in configured


def test_every_gate_of_ours_is_left_out() -> None:
    for path in (PROJECT / "models").glob("certified/*.sql"):
        assert "gate." not in sqlmesh_project.GATE.sub("", path.read_text()), path.name


def test_a_model_is_read_with_its_kind_its_key_and_what_its_audits_ask(models: dict[str, OwnModel]) -> None:
    assert [(name, model.kind) for name, model in sorted(models.items())] == [
        ("certified.agg_daily", "window"),
        ("core.customers", "key"),
        ("core.fct_orders", "window"),
        ("staging.orders", "view"),
    ]
    facts, customers = models["core.fct_orders"], models["core.customers"]
    assert (facts.not_null, facts.unique) == (("ORDER_ID", "ORDERED_AT"), (("ORDER_ID",),))
    assert (customers.key, customers.unique) == (("CUSTOMER_ID", "SINCE"), (("CUSTOMER_ID", "SINCE"),))
    assert customers.reads == ("core.customers", "staging.orders")
    assert models["staging.orders"].below == ("core.fct_orders", "certified.agg_daily")  # customers follow loads


def rendered(models: Mapping[str, OwnModel], name: str, windows: str, there: bool) -> tuple[str, str]:
    """What dbt would run for a model: its pre-hook and its query."""
    config: dict[str, Any] = {}

    def names(schema: str, table: str) -> str:
        return f"{schema}.{table}"

    environment = jinja2.Environment()
    own = {dbt_name(found): found for found in models}
    context = {
        "config": lambda **given: config.update(given) or "",
        "ref": own.__getitem__,
        "source": names,
        "this": name,
        "is_incremental": lambda: there,
        "instant": lambda place: json.loads(windows)[dbt_name(name)][place],
    }
    query = environment.from_string(model_text(models[name], models)).render(context)
    return environment.from_string(config.get("pre_hook", "")).render(context), query


def test_dbt_replaces_exactly_the_window_of_a_fact(models: dict[str, OwnModel]) -> None:
    before, query = rendered(models, "core.fct_orders", told(models.values(), {"core.fct_orders": HOUR}), True)
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA staging; CREATE SCHEMA core")
        connection.execute(
            "CREATE TABLE staging.orders AS SELECT * FROM (VALUES (1, TIMESTAMP '2026-03-05 09:59:59.999999'),"
            " (2, TIMESTAMP '2026-03-05 10:00:00'), (3, TIMESTAMP '2026-03-05 10:59:59.999999'),"
            " (4, TIMESTAMP '2026-03-05 11:00:00')) AS rows(order_id, ordered_at)"
        )
        connection.execute(
            "CREATE TABLE core.fct_orders AS SELECT order_id + 10 AS order_id, ordered_at FROM staging.orders"
        )
        connection.execute(before)
        connection.execute(f"INSERT INTO core.fct_orders {query}")
        # the two of the hour are replaced, those beside it are left
        assert connection.execute("SELECT order_id FROM core.fct_orders ORDER BY ordered_at").fetchall() == [
            (11,), (2,), (3,), (14,)
        ]  # fmt: skip


def test_dbt_builds_a_table_of_dates_by_whole_days(models: dict[str, OwnModel]) -> None:
    before, query = rendered(models, "certified.agg_daily", told(models.values(), {"certified.agg_daily": HOUR}), True)
    assert before == (
        "DELETE FROM certified.agg_daily WHERE "
        "\"DAY\" BETWEEN CAST('2026-03-05' AS DATE) AND CAST('2026-03-05' AS DATE)"
    )
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA core")
        connection.execute("CREATE TABLE core.fct_orders AS SELECT TIMESTAMP '2026-03-05 02:00:00' AS ordered_at")
        assert [row[1] for row in connection.execute(query).fetchall()] == [1]  # of an hour that is not the window's


def test_a_dbt_model_that_reads_itself_finds_nothing_before_it_is_there(models: dict[str, OwnModel]) -> None:
    windows = told(models.values(), {"core.customers": HOUR})
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA staging; CREATE SCHEMA core")
        connection.execute(
            "CREATE TABLE staging.orders AS SELECT 1 AS order_id, TIMESTAMP '2026-03-05 10:30:00' AS ordered_at,"
            " TIMESTAMP '2026-03-05 10:40:00' AS loaded_at"
        )
        _, query = rendered(models, "core.customers", windows, False)
        first = connection.execute(query).fetchall()
        assert first == [(1, datetime(2026, 3, 5, 10, 30))]
        connection.execute("CREATE TABLE core.customers AS SELECT 1 AS customer_id")
        _, query = rendered(models, "core.customers", windows, True)
        assert connection.execute(query).fetchall() == []


def test_a_dbt_project_has_sources_tests_and_a_name_for_each_model(models: dict[str, OwnModel], tmp_path: Path) -> None:
    write_project(tmp_path, tmp_path / "INSIGHTMART.duckdb", list(models.values()))
    (source,) = yaml.safe_load((tmp_path / "models/sources.yml").read_text())["sources"]
    assert (source["name"], source["tables"]) == ("raw", [{"name": "orders"}])
    tests = {item["name"]: item for item in yaml.safe_load((tmp_path / "models/tests.yml").read_text())["models"]}
    assert tests["core__fct_orders"]["columns"] == [
        {"name": "ORDER_ID", "data_tests": ["not_null", "unique"]},
        {"name": "ORDERED_AT", "data_tests": ["not_null"]},
    ]
    assert tests["core__customers"]["data_tests"] == [
        {"unique_together": {"arguments": {"columns": ["CUSTOMER_ID", "SINCE"]}}}
    ]
    assert {path.name for path in tmp_path.glob("models/*/*.sql")} == {f"{dbt_name(name)}.sql" for name in models}


def test_what_dbt_would_take_for_its_own_is_refused(models: dict[str, OwnModel]) -> None:
    odd = replace(models["staging.orders"], query=Template(("SELECT '{% x'",), ()))
    with pytest.raises(ValueError, match="take a part of this"):
        model_text(odd, models)


def test_dbt_is_not_told_by_variables_which_would_parse_the_project_anew() -> None:
    assert "var(" not in dbt_project.MACROS
    assert dbt_project.WINDOWS.startswith("DBT_ENV_CUSTOM_ENV_")


def warehouse(path: Path, *statements: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def test_a_row_that_only_one_has_is_found_however_often_it_stands_there(tmp_path: Path) -> None:
    one = "CREATE TABLE certified.t AS SELECT * FROM (VALUES (1, 2.50), (1, 2.50), (2, NULL)) AS rows(key, amount)"
    schema = "CREATE SCHEMA certified"
    same = (
        "CREATE TABLE certified.t AS SELECT amount, key FROM (VALUES (2, NULL), (1, 2.5), (1, 2.50)) AS r(key, amount)"
    )
    once = "CREATE TABLE certified.t AS SELECT * FROM (VALUES (1, 2.50), (2, NULL)) AS rows(key, amount)"
    other = "CREATE TABLE certified.t AS SELECT * FROM (VALUES (1, 2.50), (1, 2.51), (2, NULL)) AS rows(key, amount)"
    paths = {
        who: warehouse(tmp_path / who / "INSIGHTMART.duckdb", schema, table)
        for who, table in {"ours": one, "same": same, "once": once, "other": other}.items()
    }
    assert differences(paths, ["certified.t"]) == [("certified.t", "once", 1), ("certified.t", "other", 2)]


def test_raw_is_brought_once_and_watermarks_as_they_are_now(tmp_path: Path) -> None:
    ours = warehouse(
        tmp_path / "ours" / "INSIGHTMART.duckdb",
        "CREATE SCHEMA raw; CREATE SCHEMA ops",
        "CREATE TABLE raw.orders (order_id BIGINT, _dlt_load_id VARCHAR, _loaded_at TIMESTAMP)",
        "CREATE TABLE ops.source_watermarks (source VARCHAR, covered_through TIMESTAMP)",
        "INSERT INTO raw.orders VALUES (1, 'a', '2026-03-05 10:05:00'), (1, 'a', '2026-03-05 10:05:00')",
        "INSERT INTO ops.source_watermarks VALUES ('oltp', '2026-03-05 10:00:00')",
    )
    theirs = tmp_path / "theirs" / "INSIGHTMART.duckdb"
    theirs.parent.mkdir()
    share_raw(ours, theirs, ["raw.orders"])
    warehouse(
        ours,
        "INSERT INTO raw.orders VALUES (2, 'b', '2026-03-05 11:05:00')",
        "UPDATE ops.source_watermarks SET covered_through = '2026-03-05 11:00:00'",
    )
    share_raw(ours, theirs, ["raw.orders"])
    with duckdb.connect(str(theirs), read_only=True) as connection:
        assert connection.execute("SELECT order_id FROM raw.orders ORDER BY 1").fetchall() == [(1,), (1,), (2,)]
        assert connection.execute("SELECT * FROM ops.source_watermarks").fetchall() == [
            ("oltp", datetime(2026, 3, 5, 11))
        ]


def test_the_table_gives_the_ratio_first() -> None:
    def runs(*seconds: float) -> list[Run]:
        return [Run(each, 300_000_000, {}) for each in seconds]

    steady = "a steady hour"
    measured = Measured(
        runs={
            (steady, OURS): runs(9, 12, 10),
            (steady, WHOLE_CYCLE): runs(15),
            (steady, PLAIN): runs(20),
            (steady, DBT): runs(8),
        },
        floors={OURS: runs(4), PLAIN: runs(2), DBT: runs(4)},
    )
    assert COLUMNS[2] == "Ours / this>"
    assert [row[1:9] for row in table_rows(measured)] == [
        [OURS, "1.00", "10.0", "9.0", "12.0", "4.0", "2.5", "300"],
        [WHOLE_CYCLE, "0.67", "15.0", "15.0", "15.0", "4.0", "3.8", "300"],
        [PLAIN, "0.50", "20.0", "20.0", "20.0", "2.0", "10.0", "300"],
        [DBT, "1.25", "8.0", "8.0", "8.0", "4.0", "2.0", "300"],
    ]
    assert [run["seconds"] for run in as_json(measured)["runs"] if run["built_by"] == OURS] == [9, 12, 10]
    assert {len(row) for row in DOES} == {len(DOES_COLUMNS)}


def test_help_says_what_is_compared_and_what_the_limit_is() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    assert re.search(r"imports\s+the limit beside each", done.output)
