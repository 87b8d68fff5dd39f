"""An order: every version in raw, what became of each, and the figures it counts in."""

from __future__ import annotations

from ingestion.loading.horizon import PROVES, purged_before
from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.explaining.load_nodes import load_nodes
from insightmart.explaining.node import Node

SOURCES = {"oltp": "raw.oltp_orders", "shopify": "raw.shopify_orders"}


def explain_order(warehouse: Warehouse, number: str) -> list[Node]:
    """Explain an order of any source by its number there.

    Raises:
        InsightMartError: no source ever sent such an order, or it is no number.
    """
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise InsightMartError(f"{number!r} is no order number", "Order numbers of both sources are whole numbers")
    found = [node for source, table in SOURCES.items() if (node := _explain(warehouse, source, table, int(number)))]
    if not found:
        horizon = purged_before(warehouse)
        if horizon is not None:
            raise InsightMartError(
                f"there is no order {number}: no source ever sent it, or it is of before {horizon:%Y-%m-%d} UTC, of"
                " which raw was deleted by `insightmart retention`",
                PROVES,
            )
        raise InsightMartError(
            f"no source ever sent an order {number}",
            "What could not be read at all is in `insightmart quarantine list`",
        )
    return found


def _explain(warehouse: Warehouse, source: str, table: str, number: int) -> Node | None:
    versions = warehouse.rows(
        f"SELECT updated_at, _loaded_at, _dlt_load_id, total_amount, _deleted_at FROM {table}"
        " WHERE order_id = ? ORDER BY _loaded_at, updated_at",
        [number],
    )
    if not versions:
        return None
    raw = Node(
        table,
        {"versions": len(versions)},
        tuple(
            Node(
                "deleted at the source" if deleted else "version",
                {"changed_at_source": changed, "loaded_at": loaded, "load": load, "stated_total": total},
            )
            for changed, loaded, load, total, deleted in versions
        ),
    )
    certified = _certified(warehouse, source, number)
    rejected = _rejected(warehouse, source, number)
    if certified:
        verdict = "It counts"
    elif rejected:
        verdict = "It waits in quarantine and counts nowhere"
    elif versions[-1][-1]:
        verdict = "It was deleted at its source and counts no more"
    else:
        verdict = "It counts nowhere: it is cancelled or a test, or its hour is not published yet"
    loads = sorted({load for _, _, load, _, _ in versions})
    return Node(f"{source} order {number}", {}, (raw, *rejected, *certified, *load_nodes(warehouse, loads)), verdict)


def _rejected(warehouse: Warehouse, source: str, number: int) -> list[Node]:
    nodes = []
    for entity, amount in (("orders", "total_amount"), ("order_lines", "unit_price")):
        rows = warehouse.rows(
            f"SELECT reasons, {amount}, raw_load_id FROM quarantine.{source}_{entity} WHERE order_id = ? ORDER BY 1, 3",
            [number],
        )
        nodes += [
            Node(f"quarantine.{source}_{entity}", {"reasons": reasons, amount: value, "load": load})
            for reasons, value, load in rows
        ]
    return nodes


def _certified(warehouse: Warehouse, source: str, number: int) -> list[Node]:
    key = [source, str(number)]
    nodes = [
        Node(
            "certified.fct_orders",
            {
                "business_date": day,
                "store_id": store,
                "channel": channel,
                "status": status,
                "gross_sales": gross,
                "discount": discount,
                "total": total,
                "load": load,
            },
            note="A part of certified.agg_sales_daily of this date, store and channel",
        )
        for day, store, channel, status, gross, discount, total, load in warehouse.rows(
            "SELECT business_date, store_id, channel, order_status, gross_sales, discount_amount, total_amount,"
            " raw_load_id FROM certified.fct_orders WHERE source_system = ? AND order_id = ?",
            key,
        )
    ]
    refunds = warehouse.rows(
        "SELECT refund_id, business_date, refund_amount, raw_load_id FROM certified.fct_refunds"
        " WHERE source_system = ? AND order_id = ? ORDER BY refunded_at, refund_id",
        key,
    )
    return nodes + [
        Node(f"certified.fct_refunds {refund}", {"business_date": day, "amount": amount, "load": load})
        for refund, day, amount, load in refunds
    ]
