"""How columns come out of a query, held against SQLMesh's own column lineage for every model of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import MappingSchema, exp
from sqlmesh.core.dialect import parse_one  # importing it teaches sqlglot what a model is, which has to come first
from sqlmesh.core.lineage import column_dependencies
from sqlmesh.core.model import create_sql_model

from insightmart.lineage.derivation import Derivation, Use, derivation_of

if TYPE_CHECKING:
    from sqlmesh import Context

KINDS = {
    "id": "INT",
    "day": "DATE",
    "amount": "DECIMAL(18, 4)",
    "email": "VARCHAR",
    "code": "VARCHAR",
    "at": "TIMESTAMP_NTZ",
}


def derived(query: str) -> Derivation:
    """How a query over the tables a, b and c comes about; all have the columns of ``KINDS``."""
    model = create_sql_model("d.x", parse_one(query, dialect="snowflake"), dialect="snowflake")
    columns = {name: exp.DataType.build(kind, dialect="snowflake") for name, kind in KINDS.items()}
    model.update_schema(MappingSchema({"S": dict.fromkeys("ABC", columns)}, dialect="snowflake"))
    return derivation_of(model, "D")


def of_column(query: str, column: str) -> dict[str, set[str]]:
    """``TABLE.COLUMN`` -> how it is used for a column."""
    return shown(derived(query).columns[column.upper()])


def of_rows(query: str) -> dict[str, set[str]]:
    """``TABLE.COLUMN`` -> how it decides over rows."""
    return shown(derived(query).rows)


def shown(places: dict[tuple[str, str], set[Use]]) -> dict[str, set[str]]:
    return {
        f"{table.split('.')[-1].strip(chr(34))}.{column}".lower(): {
            f"{use.type} {use.subtype}{' masked' if use.masking else ''}" for use in uses
        }
        for (table, column), uses in places.items()
    }


def test_every_column_has_the_parents_that_sqlmesh_says(files: Context) -> None:
    compared = 0
    for name, model in files.models.items():
        if model.kind.is_external or not model.is_sql:
            continue
        ours = derivation_of(model, str(files.default_catalog)).columns
        for column in model.columns_to_types or {}:
            parents = column_dependencies(files, name, exp.column(column, quoted=True))
            assert set(ours[column]) == {(table, above) for table, all_above in parents.items() for above in all_above}
            compared += 1
    assert compared > 1_000


def test_values_are_copied_transformed_aggregated_or_masked() -> None:
    query = """
        SELECT a.id::BIGINT AS copied, a.at::DATE AS day, SUM(a.amount) - 1 AS total, SHA2(LOWER(a.email), 256) AS hash,
            MAX_BY(a.code, a.at) AS latest
        FROM s.a AS a GROUP BY a.id, a.at, a.email
    """
    assert of_column(query, "copied") == {"a.id": {"DIRECT IDENTITY"}}
    assert of_column(query, "day") == {"a.at": {"DIRECT TRANSFORMATION"}}
    assert of_column(query, "total") == {"a.amount": {"DIRECT AGGREGATION"}}
    assert of_column(query, "hash") == {"a.email": {"DIRECT TRANSFORMATION masked"}}
    assert of_column(query, "latest") == {"a.code": {"DIRECT AGGREGATION"}, "a.at": {"INDIRECT CONDITIONAL"}}
    assert derived(query).expressions["TOTAL"] == ("SUM(amount) - 1",)
    assert derived(query).expressions["COPIED"] == ()


def test_a_condition_and_a_window_decide_which_value() -> None:
    query = """
        SELECT CASE WHEN a.code = 'x' THEN a.amount END AS amount,
            LEAD(a.at) OVER (PARTITION BY a.id ORDER BY a.day) AS next_at
        FROM s.a AS a
    """
    assert of_column(query, "amount") == {"a.code": {"INDIRECT CONDITIONAL"}, "a.amount": {"DIRECT TRANSFORMATION"}}
    assert of_column(query, "next_at") == {
        "a.at": {"DIRECT TRANSFORMATION"},
        "a.id": {"INDIRECT WINDOW"},
        "a.day": {"INDIRECT WINDOW"},
    }


def test_unions_and_steps_are_followed_and_what_decides_on_the_way_stays_said() -> None:
    query = """
        WITH parts AS (
            SELECT id, amount AS paid, code FROM s.a UNION ALL SELECT id, -amount, NULL FROM s.b
        ), chosen AS (SELECT id, CASE WHEN code IS NULL THEN 0 ELSE paid END AS paid FROM parts)
        SELECT id::BIGINT AS id, SUM(paid)::DECIMAL(18, 4) AS paid FROM chosen AS c GROUP BY id
    """
    assert of_column(query, "id") == {"a.id": {"DIRECT IDENTITY"}, "b.id": {"DIRECT IDENTITY"}}
    assert of_column(query, "paid") == {
        "a.amount": {"DIRECT AGGREGATION"},
        "b.amount": {"DIRECT AGGREGATION"},
        "a.code": {"INDIRECT CONDITIONAL"},
    }
    assert of_rows(query) == {"a.id": {"INDIRECT GROUP_BY"}, "b.id": {"INDIRECT GROUP_BY"}}
    assert derived(query).expressions["PAID"][:2] == ("SUM(paid)", "CASE WHEN code IS NULL THEN 0 ELSE paid END")


def test_what_stands_in_filters_joins_and_subqueries_alone_decides_over_rows() -> None:
    query = """
        SELECT a.amount::DECIMAL(18, 4) AS amount
        FROM s.a AS a
        LEFT JOIN s.b AS b ON b.id = a.id AND b.day > a.day
        WHERE a.code IN (SELECT c.code FROM s.c AS c WHERE c.at = a.at) AND b.id IS NULL
        QUALIFY ROW_NUMBER() OVER (PARTITION BY a.email ORDER BY a.amount) = 1
    """
    assert of_column(query, "amount") == {"a.amount": {"DIRECT IDENTITY"}}
    assert of_rows(query) == {
        "a.id": {"INDIRECT JOIN"},
        "a.day": {"INDIRECT JOIN"},
        "b.id": {"INDIRECT JOIN", "INDIRECT FILTER"},
        "b.day": {"INDIRECT JOIN"},
        "a.code": {"INDIRECT FILTER"},
        "c.code": {"INDIRECT FILTER"},
        "c.at": {"INDIRECT FILTER"},
        "a.at": {"INDIRECT FILTER"},
        "a.email": {"INDIRECT FILTER"},
        "a.amount": {"INDIRECT FILTER"},
    }


def test_a_counted_column_and_a_constant_have_no_origin() -> None:
    query = "SELECT COUNT(*)::BIGINT AS rows_there, 'x'::VARCHAR AS mark FROM s.a"
    assert of_column(query, "rows_there") == {}
    assert of_column(query, "mark") == {}
    assert derived(query).expressions == {"ROWS_THERE": ("COUNT(*)",), "MARK": ("'x'",)}
