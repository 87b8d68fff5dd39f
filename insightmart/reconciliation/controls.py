"""Which controls there are, in which order, and what they cover. What each ties, and how, is in its file in ``sql/``.

- ``loads``: what the source said it has = what its load landed, counted again in raw, + what was rejected.
- ``rows``: what raw holds in its latest version = accepted + excluded + quarantined in staging (excluded: cancelled and
  test orders; earlier counts of the same hour); accepted = core; core = certified. For events that are certified.
- ``levels``: order level (``source_total``) = hourly (``core_total``) = daily (``certified_total``), all certified, for
  each business date, store and channel (entity ``sales_CHANNEL``).
- ``order_totals``: the total that each certified order states = its goods, discounts, returns, taxes, shipping and
  other charges.
- ``tills``: a store's own closing figures = certified store sales, for business dates that are certified to their end.
- ``shop_reports``: the online shop's own sales report by day = what is certified of the shop, for the same dates.

``store_id`` NULL stands for all stores; -1 where the store is not known; 0 for the online shop, in ``shop_reports``
with its POS. ``difference`` is zero when all agree.
A status is ``matched``, ``failed``, or what explains a difference: ``correction open`` (the window is queued to be
restated), ``quarantined`` (exactly the rejected rows are missing), ``cancelled`` (exactly the cancelled orders are,
which Shopify counts until the day of cancelling), ``pending`` (the till file or the shop's report, or its new version
after a late correction, has not come), ``edited meanwhile`` (Shopify orders changed while they were read; read again
next), ``rounded`` (no order is more than 5 cents off its total, no day of the shop's report more than one),
``tolerated`` (more, and less than its rule quarantines).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from insightmart.settings import Settings

# gate -> the files that compare what it has let through, layer by layer
ROWS = {
    "sales__oltp": ("rows_sales_oltp", "rows_refunds_oltp"),
    "sales__shopify": ("rows_sales_shopify", "rows_refunds_shopify"),
    "inventory__stores": ("rows_inventory_stores",),
    "inventory__shopify": ("rows_inventory_shopify",),
}
TILL_AGAIN = timedelta(hours=2)  # a store sends its till again within an hour of a correction; it is read an hour later


@dataclass(frozen=True)
class Control:
    """A file that compares. ``through``: what happened before this instant is certified, UTC; None: it does not ask."""

    file: str
    through: datetime | None = None


@dataclass(frozen=True)
class Scope:
    """What a reconciliation covers.

    Attributes:
        run_id: the run it belongs to.
        as_of: "now" of the run, UTC without a zone.
        date_from: first business date.
        date_to: last business date.
        reconciled_at: wall clock, UTC without a zone.
    """

    run_id: str
    as_of: datetime
    date_from: date
    date_to: date
    reconciled_at: datetime

    @property
    def events_from(self) -> datetime:
        """No business date of the scope begins earlier anywhere on earth, UTC."""
        return datetime.combine(self.date_from, datetime.min.time()) - timedelta(hours=14)

    @property
    def events_to(self) -> datetime:
        """Every business date of the scope has ended everywhere on earth, UTC."""
        return datetime.combine(self.date_to, datetime.min.time()) + timedelta(hours=36)

    @property
    def loaded_from(self) -> datetime:
        """Rows of the scope were not loaded earlier: an event lies at most a day after its row's last change."""
        return self.events_from - timedelta(days=1)

    def values(self, settings: Settings) -> dict[str, Any]:
        """A value for each parameter of the files, but for ``through``, which each control brings."""
        return {
            "run_id": self.run_id,
            "as_of": self.as_of,
            "reconciled_at": self.reconciled_at,
            "date_from": self.date_from,
            "date_to": self.date_to,
            "day_after": self.date_to + timedelta(days=1),
            "events_from": self.events_from,
            "events_to": self.events_to,
            "loaded_from": self.loaded_from,
            "company_timezone": settings.timezone,
            "history_start": settings.history_start,
            "start_date": settings.start,
            "till_again": self.as_of - TILL_AGAIN - timedelta(minutes=settings.store_grace_minutes),
        }


def due_controls(existing: Set[str], through: Mapping[str, datetime | None]) -> tuple[list[Control], dict[str, str]]:
    """The controls that have something to compare, in their order.

    Args:
        existing: names of the tables that exist, such as ``certified.fct_orders``.
        through: gate, such as ``sales__oltp``, -> first instant that is not certified, UTC; None: nothing is.

    Returns:
        The controls, and the gates and controls that have nothing to compare yet, with the reason.
    """
    skipped = {gate: "nothing is certified yet" for gate, instant in through.items() if "__" in gate and not instant}
    controls = [Control("loads")]
    controls += [Control(file, through[gate]) for gate, files in ROWS.items() if through[gate] for file in files]
    if {"certified.fct_orders", "certified.agg_sales_hourly", "certified.agg_sales_daily"} <= existing:
        controls += [Control("levels"), Control("order_totals")]
    else:
        skipped["sales"] = "the certified sales tables do not exist yet"
    if through["sales__oltp"] and {"certified.dim_stores", "staging.stores_tills"} <= existing:
        controls.append(Control("tills", through["sales__oltp"]))
    else:
        skipped["tills"] = "store sales are not certified yet"
    if through["sales__shopify"] and {"certified.dim_dates", "raw.shopify_sales_reports"} <= existing:
        controls.append(Control("shop_reports", through["sales__shopify"]))
    else:
        skipped["shop_reports"] = "online sales are not certified yet"
    return controls, skipped
