"""Sums of facts: sales by key, and what the stores' tills say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from sandbox.events.instants import DAY, HOUR
from sandbox.events.versions import (
    STORE,
)
from sandbox.truth.facts import Facts

MEASURES = [
    "orders",
    "units",
    "gross_sales",
    "discounts",
    "returns",
    "net_sales",
    "taxes",
    "shipping",
    "total_sales",
    "duties",
    "fees",
    "tips",
    "gift_cards",
]

CHARGED = {
    "taxes": "tax_amount",
    "shipping": "shipping_amount",
    "duties": "duties_amount",
    "fees": "fees_amount",
    "tips": "tips_amount",
    "gift_cards": "gift_cards_amount",
}


# -- sums --------------------------------------------------------------------------------------------------------------


def sales_by(facts: Facts, keys: list[str]) -> pd.DataFrame:
    """The sales measures by business_date, business_hour, store_id, channel or some of them.

    A row exists where an order was placed, a line added to one by an edit, or something refunded.
    """
    added = facts.lines[_of(facts.lines, "added") == 1]
    parts = [
        _movements(facts.orders, keys, 1)
        | {"orders": facts.orders["is_order"], "units": facts.orders["units"]}
        | {"gross_sales": facts.orders["gross_sales"], "discounts": facts.orders["discount_amount"]},
        _movements(added, keys, 1)
        | {"units": added["quantity"], "gross_sales": added["gross_sales"], "discounts": added["discount_amount"]},
        _movements(facts.refunds, keys, -1) | {"returns": facts.refunds["refund_amount"]},
    ]
    both = pd.concat([pd.DataFrame(part) for part in parts])
    sums = both.groupby(keys, as_index=False, sort=True).sum()
    sums["net_sales"] = sums["gross_sales"] - sums["discounts"] - sums["returns"]
    sums["total_sales"] = sums["net_sales"] + sums["taxes"] + sums["shipping"] + sums["duties"] + sums["fees"]
    return sums[[*keys, *MEASURES]]


def _movements(facts: pd.DataFrame, keys: list[str], sign: int) -> dict[str, Any]:
    """What orders, lines and refunds all have beside goods, and their keys; of goods nothing yet."""
    charged = {name: sign * _of(facts, column) for name, column in CHARGED.items()}
    nothing = dict.fromkeys(("orders", "units", "gross_sales", "discounts", "returns"), 0)
    return nothing | charged | group_keys(facts, keys)


def _of(facts: pd.DataFrame, column: str) -> pd.Series:
    """A column of facts; 0 where only the online shop knows of such a thing."""
    found: pd.Series = facts[column] if column in facts else pd.Series(0, index=facts.index)
    return found


def group_keys(facts: pd.DataFrame, keys: list[str]) -> dict[str, pd.Series]:
    """Grouping columns of facts; business_date is a day number since 1970."""
    derived = {"business_date": facts["local"] // DAY, "business_hour": facts["local"] % DAY // HOUR}
    return {key: derived[key] if key in derived else facts[key] for key in keys}


def till_totals(facts: Facts) -> dict[tuple[int, int], tuple[int, ...]]:
    """What the tills of each store (id) show for each local date (days since 1970) with any sale or refund.

    Transactions, gross sales, discounts, returns, net sales: of what went over the counter.
    """
    orders, refunds = facts.orders, facts.refunds
    counter = replace(facts, orders=orders[orders["channel"] == STORE], refunds=refunds[refunds["channel"] == STORE])
    totals = sales_by(counter, ["store_id", "business_date"])
    places = zip(totals["store_id"].tolist(), totals["business_date"].tolist(), strict=True)
    columns = ("orders", "gross_sales", "discounts", "returns", "net_sales")
    return dict(zip(places, zip(*(totals[column].tolist() for column in columns), strict=True), strict=True))
