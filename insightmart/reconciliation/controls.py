"""Which controls there are, in which order, and what they cover. What each ties, and how, is in its file in ``sql/``.

- ``loads``: what the source said it has = what its load landed, counted again in raw, + what was rejected.
- ``rows``: what raw holds in its latest version = accepted + excluded + quarantined in staging (excluded: cancelled and
  test orders; earlier counts of the same hour); accepted = core; core = certified. For events that are certified. The
  files ``rows_*`` say what is to be counted; the counts are kept by hour, so that a day is added up and not read again.
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
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from insightmart.settings import Settings

# gate -> the files that count what it has let through, layer by layer
ROWS = {
    "sales__oltp": ("rows_sales_oltp", "rows_refunds_oltp"),
    "sales__shopify": ("rows_sales_shopify", "rows_refunds_shopify"),
    "inventory__stores": ("rows_inventory_stores",),
    "inventory__shopify": ("rows_inventory_shopify",),
}
DAYS = 8  # late corrections reach back a week
SALES = ("sales__oltp", "sales__shopify")
TILL_AGAIN = timedelta(hours=2)  # a store sends its till again within an hour of a correction; it is read an hour later
BEGINS_EARLIER, ENDS_LATER = timedelta(hours=14), timedelta(hours=36)  # a business date, anywhere on earth, in UTC


class Control(NamedTuple):
    """What is compared of dates.

    ``file``: the file that compares. ``gates``: those whose windows change what it compares. ``through``: what happened
    before this instant is certified, UTC; None: it does not ask. ``loads``: a raw table, of whose rows each speaks of a
    business date that changes with it.
    """

    file: str
    gates: tuple[str, ...] = ()
    through: datetime | None = None
    loads: str | None = None


class Dates(NamedTuple):
    """Business dates, first and last."""

    first: date
    last: date


def horizon(last: date) -> Dates:
    """The business dates that may still change, and the last one of them."""
    return Dates(last - timedelta(days=DAYS - 1), last)


class Hours(NamedTuple):
    """Whole UTC hours, up to the first instant that is none of them."""

    start: datetime
    end: datetime

    @property
    def dates(self) -> Dates:
        """Every business date that has part of these hours somewhere on earth."""
        last = self.end + BEGINS_EARLIER - timedelta(microseconds=1)
        return Dates((self.start - ENDS_LATER).date() + timedelta(days=1), last.date())


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
    def hours(self) -> Hours:
        """From before the first business date begins anywhere on earth to after the last one has ended, UTC."""
        midnight = datetime.min.time()
        first, last = datetime.combine(self.date_from, midnight), datetime.combine(self.date_to, midnight)
        return Hours(first - BEGINS_EARLIER, last + ENDS_LATER)

    def values(self, settings: Settings) -> dict[str, Any]:
        """A value for each parameter of the files, but for those that a control or its hours bring."""
        return {
            "run_id": self.run_id,
            "as_of": self.as_of,
            "reconciled_at": self.reconciled_at,
            "company_timezone": settings.timezone,
            "history_start": settings.history_start,
            "start_date": settings.start,
            "till_again": self.as_of - TILL_AGAIN - timedelta(minutes=settings.store_grace_minutes),
            **self.of_dates(Dates(self.date_from, self.date_to)),
        }

    def of_dates(self, dates: Dates) -> dict[str, Any]:
        """The values of some of its dates."""
        part = replace(self, date_from=dates.first, date_to=dates.last)
        days = {"date_from": dates.first, "date_to": dates.last, "day_after": dates.last + timedelta(days=1)}
        return days | of_hours(part.hours)


def of_hours(hours: Hours) -> dict[str, datetime]:
    """The values of hours of events, whose rows were not loaded before ``loaded_from``.

    An event lies at most a day after its row's last change.
    """
    return {"events_from": hours.start, "events_to": hours.end, "loaded_from": hours.start - timedelta(days=1)}


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
    if counted := tuple(gate for gate in ROWS if through[gate]):
        controls.append(Control("rows", counted))
    if {"certified.fct_orders", "certified.agg_sales_hourly", "certified.agg_sales_daily"} <= existing:
        controls += [Control("levels", SALES), Control("order_totals", SALES)]
    else:
        skipped["sales"] = "the certified sales tables do not exist yet"
    store, online = SALES
    if through[store] and {"certified.dim_stores", "staging.stores_tills"} <= existing:
        controls.append(Control("tills", (store,), through[store], "raw.stores_tills"))
    else:
        skipped["tills"] = "store sales are not certified yet"
    if through[online] and {"certified.dim_dates", "raw.shopify_sales_reports"} <= existing:
        controls.append(Control("shop_reports", (online,), through[online], "raw.shopify_sales_reports"))
    else:
        skipped["shop_reports"] = "online sales are not certified yet"
    return controls, skipped
