"""Changes that no test can notice, because nothing depends on them, each kind with its reason."""

from __future__ import annotations

import re

from bench.mutants.changes import Change

ONLY_COMPARED = "a part of a text that is only compared with others made in the same way"
ONE_ROW_AFTER = "rows read twice are one row after the ROW_NUMBER or GROUP BY below"
ROWS_DIFFER = "the two parts have no row in common, and neither has one twice"
ONLY_PRUNES = "reads less; what it leaves out is left out by a join or a condition below as well"

# What the change's line of the report looks like, which ends with the line of the file, and why it changes nothing.
REASONS = (
    (r"core/dim_stores.* text: '\|?' ->", ONLY_COMPARED),
    (r"macros/sql\.py.* text: '\|?' ->", ONLY_COMPARED),
    (r"core/dim_customers.* number: 256 ->", "SHA2 knows only a few lengths: the engine refuses others"),
    (r"core/dim_products.* number: (1 -> 0|2 -> 3).* AS preference", "numbers that only put the OLTP before Shopify"),
    (r"(_oltp_order_lines|_oltp_refunds|core/dim_products)\.sql.* union: ALL", ONE_ROW_AFTER),
    (r"core/(dim_customers|dim_stores)\.sql.* union: ALL", f"{ROWS_DIFFER}; or {ONE_ROW_AFTER}"),
    (r"_oltp_order_lines.* comparison: < -> <=.* in: _loaded_at", ONE_ROW_AFTER),
    (r"_oltp_order_lines.* comparison: .* WHEN (own_rule_ids IS NULL AND )?quantity", "quantity 0 breaks a rule"),
    (r"_oltp_order_lines.* condition: _loaded_at < DATEADD", ONE_ROW_AFTER),
    (r"_oltp_order_lines.* condition: w\.event_at BETWEEN", ONLY_PRUNES),
    (r"staging/_(oltp|shopify)_refunds.* condition: order_id IN \( SELECT [ri]\.order_id::VARCHAR", ONLY_PRUNES),
    (r"_oltp_refunds.* condition: NOT r\.line_number IS NULL", ONLY_PRUNES),
    (r"core/inventory_coverage.* condition: (d\.calendar_date|counted_hour) BETWEEN", ONLY_PRUNES),
    (r"core/inventory_coverage.* in: SELECT DISTINCT", "the stores are counted DISTINCT below"),
    (r"core/inventory_coverage.* text: '(1970|9999)-", "a date before any history, or after it"),
    (r"core/fct_order_lines.* condition: ordered_at BETWEEN", ONLY_PRUNES),
    (r"rules\.yml.* text: '' -> '_'", "stands for what is missing, and is no known value either"),
    (r"rules\.yml.* text: 'Etc/%' ->", "no zone is named Etc/ and nothing behind it"),
    (r"rules\.yml:\d+:(39|41)  .* in: when: quantity = 0 OR \(quantity < 0", "0 is told by the part before"),
    (r"(_shopify|_stores)_inventory.* (number: 1 -> 2|condition: ).* in: _loaded_at >= DATEADD", ONLY_PRUNES),
)


def why_equivalent(change: Change) -> str:
    """The reason why a change changes nothing; empty where it does."""
    return next((reason for pattern, reason in REASONS if re.search(pattern, str(change))), "")
