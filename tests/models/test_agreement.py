"""Hours agree with the orders and refunds they were made of: what the audit finds when the model itself is wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from sqlmesh.utils.errors import PlanError

from tests.models.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from sqlmesh import Context

pytestmark = pytest.mark.slow

ORDERS = """
MODEL (name core.fct_orders__oltp, kind INCREMENTAL_BY_TIME_RANGE (time_column ordered_at));
SELECT ordered_at::TIMESTAMPNTZ AS ordered_at, '2026-03-04'::DATE AS business_date, 19::INT AS business_hour,
  12::INT AS store_id, channel::VARCHAR AS channel, 1::BIGINT AS units, amount::DECIMAL(18, 4) AS gross_sales,
  0.5::DECIMAL(18, 4) AS discount_amount, 0.25::DECIMAL(18, 4) AS tax_amount, 1::DECIMAL(18, 4) AS shipping_amount,
  1::BIGINT AS line_count, 0::DECIMAL(18, 4) AS returned_amount, 0::DECIMAL(18, 4) AS duties_amount,
  0::DECIMAL(18, 4) AS fees_amount, 0::DECIMAL(18, 4) AS tips_amount, 0::DECIMAL(18, 4) AS gift_cards_amount
FROM (VALUES ('2026-03-05 00:10:00', 'store', 5.0001), ('2026-03-05 00:20:00', 'phone', 7),
  ('2026-03-05 01:00:00', 'store', 5))
  AS v(ordered_at, channel, amount)
WHERE ordered_at BETWEEN @start_ts AND @end_ts
"""
# one of the order, which counts with it, and one that an edit added
LINES = """
MODEL (name core.fct_order_lines__oltp, kind INCREMENTAL_BY_TIME_RANGE (time_column sold_at));
SELECT sold_at::TIMESTAMPNTZ AS sold_at, '2026-03-04'::DATE AS business_date, 20::INT AS business_hour,
  12::INT AS store_id, 'store'::VARCHAR AS channel, 2::BIGINT AS quantity, 3::DECIMAL(18, 4) AS gross_sales,
  0.25::DECIMAL(18, 4) AS discount_amount, 0.125::DECIMAL(18, 4) AS tax_amount, is_added::BOOLEAN AS is_added
FROM (VALUES ('2026-03-05 01:00:00', FALSE), ('2026-03-05 01:30:00', TRUE)) AS v(sold_at, is_added)
WHERE sold_at BETWEEN @start_ts AND @end_ts
"""
REFUNDS = """
MODEL (name core.fct_refunds__oltp, kind INCREMENTAL_BY_TIME_RANGE (time_column refunded_at));
SELECT '2026-03-05 00:30:00'::TIMESTAMPNTZ AS refunded_at, '2026-03-04'::DATE AS business_date,
  19::INT AS business_hour, 12::INT AS store_id, 'store'::VARCHAR AS channel, 2::DECIMAL(18, 4) AS refund_amount,
  0.1::DECIMAL(18, 4) AS tax_amount, 0::DECIMAL(18, 4) AS shipping_amount, 0::DECIMAL(18, 4) AS duties_amount,
  0::DECIMAL(18, 4) AS fees_amount, 0::DECIMAL(18, 4) AS tips_amount, 0::DECIMAL(18, 4) AS gift_cards_amount
WHERE '2026-03-05 00:30:00'::TIMESTAMPNTZ BETWEEN @start_ts AND @end_ts
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("", ""),
        ("    channel,\n    CASE WHEN line_count", "    'store' AS channel,\n    CASE WHEN line_count"),
        ("    quantity AS units", "    quantity + 1 AS units"),
        ("    refund_amount AS returns", "    refund_amount + 0.0001 AS returns"),
        ("-tax_amount AS taxes", "tax_amount AS taxes"),
        ("SUM(gross_sales) - SUM(discounts) - SUM(returns)\n", "SUM(gross_sales) - SUM(discounts)\n"),
    ],
    ids=["right", "another channel", "a piece more", "a ten-thousandth more", "a sign", "net sales with returns"],
)
def test_a_wrong_hour_is_held_back(
    small_project: Callable[..., Context], tmp_path: Path, right: str, wrong: str
) -> None:
    shutil.copytree(REPOSITORY / "audits", tmp_path / "project" / "audits")
    model = (REPOSITORY / "models" / "core" / "agg_sales_hourly__source.sql").read_text(encoding="utf-8")
    model, oltp_only = re.subn(r",\s*\(\s*source := shopify\s*\)", "", model)
    assert oltp_only == 1
    assert right in model
    context = small_project(orders=ORDERS, lines=LINES, refunds=REFUNDS, hours=model.replace(right, wrong, 1))

    def build() -> None:
        context.plan(auto_apply=True, no_prompts=True, skip_tests=True, execution_time="2026-03-05 02:00:00")

    if right == wrong:
        build()
        rows = context.fetchdf(
            "SELECT channel, orders, net_sales FROM core.agg_sales_hourly__oltp ORDER BY sold_hour, channel, orders"
        )
        assert rows.astype(str).values.tolist() == [
            ["phone", "1", "6.5"],
            ["store", "1", "2.5001"],
            ["store", "0", "2.75"],
            ["store", "1", "4.5"],
        ]
    else:
        with pytest.raises(PlanError):
            build()
