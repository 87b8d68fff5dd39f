"""Sums of facts: sales by key, and what the stores' tills say."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from sandbox.events.instants import DAY, HOUR
from sandbox.events.versions import (
    STORE,
)
from sandbox.truth.facts import Facts

MEASURES = ["orders", "units", "gross_sales", "discounts", "returns", "net_sales", "taxes", "shipping", "total_sales"]


# -- sums --------------------------------------------------------------------------------------------------------------


def sales_by(facts: Facts, keys: list[str]) -> pd.DataFrame:
    """The nine sales measures by business_date, business_hour, store_id, channel or some of them.

    A row exists where an order was placed or something was refunded.
    """
    orders, refunds = facts.orders, facts.refunds
    zero = 0
    sold = pd.DataFrame(
        {
            "orders": orders["is_order"],
            "units": orders["units"],
            "gross_sales": orders["gross_sales"],
            "discounts": orders["discount_amount"],
            "returns": zero,
            "taxes": orders["tax_amount"],
            "shipping": orders["shipping_amount"],
        }
    )
    returned = pd.DataFrame(
        {
            "orders": zero,
            "units": zero,
            "gross_sales": zero,
            "discounts": zero,
            "returns": refunds["refund_amount"],
            "taxes": -refunds["tax_amount"],
            "shipping": -refunds["shipping_amount"],
        }
    )
    both = pd.concat([sold.assign(**group_keys(orders, keys)), returned.assign(**group_keys(refunds, keys))])
    sums = both.groupby(keys, as_index=False, sort=True).sum()
    sums["net_sales"] = sums["gross_sales"] - sums["discounts"] - sums["returns"]
    sums["total_sales"] = sums["net_sales"] + sums["taxes"] + sums["shipping"]
    return sums[[*keys, *MEASURES]]


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
