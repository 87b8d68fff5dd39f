"""The columns of a certified table are those of its candidate, wherever they are listed."""

from __future__ import annotations

from insightmart.definitions.projections import columns_of, copied, schema_checks, united

CANDIDATE = """MODEL (name core.sales);

WITH lines AS (
  SELECT
    price::INT AS inner_one
  FROM x
)
SELECT
  id::VARCHAR AS id,
  (
    price * 2
  )::DECIMAL(18, 4) AS amount, /* why */
  day::DATE AS day
FROM lines
"""
PART = """MODEL (name certified.sales__oltp);

SELECT
  id::VARCHAR AS id /* The number */
FROM core.sales__oltp
WHERE
  day = @start_date
"""
VIEW = """MODEL (name certified.sales);

SELECT
  id::VARCHAR AS id
FROM certified.sales__oltp
UNION ALL
SELECT
  id
FROM certified.sales__shopify
"""
CHECKS = """checks for T:
  - sales_columns_missing = 0:
      sales_columns_missing query: |
        SELECT 1 - COUNT(*) AS sales_columns_missing
        FROM ${CANDIDATE_COLUMNS} AS c
        WHERE c.TABLE_NAME = 'SALES' AND c.COLUMN_NAME IN (
          'ID'
        )
      attributes: {severity: critical}
"""


def test_a_part_has_the_columns_and_types_of_its_candidate() -> None:
    part = copied(PART, CANDIDATE)
    listed = "  id::VARCHAR AS id,\n  amount::DECIMAL(18, 4) AS amount,\n  day::DATE AS day"
    assert part == PART.replace("  id::VARCHAR AS id /* The number */", listed)
    assert columns_of(part) == ["id", "amount", "day"]


def test_a_view_has_the_columns_of_its_parts_in_both_halves() -> None:
    view = united(VIEW, copied(PART, CANDIDATE))
    assert columns_of(view) == ["id", "amount", "day"]
    assert view.endswith("UNION ALL\nSELECT\n  id,\n  amount,\n  day\nFROM certified.sales__shopify\n")


def test_a_schema_check_asks_for_every_column() -> None:
    checks = schema_checks(CHECKS, {"sales": ["id", "amount", "day"]})
    assert checks == CHECKS.replace("SELECT 1 -", "SELECT 3 -").replace("'ID'", "'ID', 'AMOUNT', 'DAY'")
