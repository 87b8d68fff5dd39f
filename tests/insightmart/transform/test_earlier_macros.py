"""Prod as an earlier version of this code has built it: SQLMesh keeps the macros of then, and calls them with ours."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import duckdb

from ingestion.warehouse import open_duckdb
from insightmart.settings import Settings
from insightmart.transform.transformer import open_transformer
from tests.support.built_homes import copy_home

# By what they are called, as SQLMesh keeps them: of a warehouse from before raw and ops had versions.
EARLIER = {
    "create_source_tables": """def create_source_tables(evaluator: t.Any):
    from ingestion.ops_tables import table_statements
    from ingestion.warehouse import Warehouse
    from insightmart.journal.publish import publish_prod
    from insightmart.recorded_settings import keep_or_refuse, refuse_other
    from insightmart.settings import load_settings
    if evaluator.runtime_stage == 'before_all':
        adapter, settings = (evaluator.engine_adapter, load_settings())
        if evaluator.gateway == 'local':
            for statement in table_statements():
                adapter.cursor.execute(statement.replace('TIMESTAMP_NTZ', 'TIMESTAMP'))
            keep_or_refuse(Warehouse(adapter.cursor, 'duckdb'), settings)
        elif adapter.table_exists('ops.settings'):
            refuse_other(dict(adapter.fetchall('SELECT name, value FROM ops.settings')), settings)
        else:
            return ['SELECT 1']
        return publish_prod(evaluator) or ['SELECT 1']
    return ['SELECT 1']""",
    "journal": """def journal(evaluator: t.Any):
    from insightmart.journal.publish import publish_prod
    from insightmart.readers.by_sqlmesh import show_readers
    if evaluator.runtime_stage != 'after_all':
        return ['SELECT 1']
    left_to_do = publish_prod(evaluator)
    show_readers(evaluator)
    return left_to_do or ['SELECT 1']""",
}


def test_prod_of_an_earlier_version_is_run(set_up_home: Path, settings: Settings) -> None:
    copy_home(set_up_home, settings.home)
    with duckdb.connect(str(settings.state_path)) as state:
        [(kept,)] = state.execute("SELECT environment_statements FROM sqlmesh._environment_statements").fetchall()
        [statements] = json.loads(kept)
        for name, payload in EARLIER.items():
            statements["python_env"][name]["payload"] = payload
        state.execute(
            "UPDATE sqlmesh._environment_statements SET environment_statements = ?", [json.dumps([statements])]
        )
    as_of = datetime(2026, 3, 6, 0, 5)
    with open_duckdb(settings.database_path) as warehouse:
        warehouse.execute("DROP TABLE ops.schema_version")
        with open_transformer(settings, warehouse) as transformer:
            assert transformer.run(as_of, only=["core.dim_dates"]).evaluated > 0
        assert warehouse.value("SELECT COUNT(*) FROM ops.schema_version") == 0
