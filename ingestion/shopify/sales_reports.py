"""The shop's own sales report: its figures by day, which certified online sales are held against as tills are.

Once a UTC day, after the orders are in and those that were deleted are found, the last days that are over in the shop's
zone are asked for by one ShopifyQL query. Amounts land as Shopify signs them: ``discounts`` and ``sales_reversals``
(refunds, returns, edits and cancellations; ``returns`` until 2026-04) are negative, so that net_sales = gross_sales +
discounts + sales_reversals. Names and dates by Shopify's documentation:

- https://shopify.dev/docs/api/shopifyql/latest/schemas/sales_revenue/sales
- https://shopify.dev/changelog/shopifyql-returns-fields-deprecated-and-replaced-with-sales-reversals-fields
- https://shopify.dev/docs/api/shopifyql/latest/syntax/since-until-during (both ends included, in the shop's zone)
- https://shopify.dev/docs/api/shopifyql/shopifyql-reference (the order of the clauses)
- https://shopify.dev/docs/api/admin-graphql/latest/queries/shopifyqlQuery (scope read_reports, level 2 customer data)

The field ``rows`` is opaque in the schema. It is reported to hold objects by column name whose values are all texts,
and to come without columns where there is nothing to say (https://github.com/use-brian/use-brian/pull/164).

A report that cannot be had takes nothing else along: it is a notice, its days are pending, the next load asks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ingestion.contracts import entity
from ingestion.loading.context import IngestContext, Notice, SourceError, Window
from ingestion.loading.deletions import DAYS_BACK
from ingestion.loading.intervals import DAY
from ingestion.loading.planning import Reading
from ingestion.shopify.client import SOURCE, ShopifyClient
from ingestion.shopify.odd_answers import as_asked
from ingestion.shopify.pages import RecordPages
from ingestion.shopify.tables.shapes import Record

REPORTS = entity(SOURCE, "sales_reports")
REPORTS_SCOPE = "read_reports"
GRANT_REPORTS = (
    f"Grant the app the scope {REPORTS_SCOPE} and ask Shopify for level 2 access to protected customer data (Partner"
    " Dashboard, API access), then install it again"
)
MEASURES = tuple(column.name for column in REPORTS.columns if column.name != "business_date")
COLUMNS = {"day": "DAY_TIMESTAMP"} | dict.fromkeys(MEASURES, "MONEY")

SALES_REPORT = """
query SalesReport($query: String!) {
  shop { ianaTimezone }
  shopifyqlQuery(query: $query) {
    parseErrors
    tableData { columns { name dataType } rows }
  }
}
"""


def sales_report(first: date, last: date) -> str:
    """The ShopifyQL query of these days, both included; its clauses in the order that was once prescribed for them."""
    return f"FROM sales SHOW {', '.join(MEASURES)} SINCE {first:%Y-%m-%d} UNTIL {last:%Y-%m-%d} TIMESERIES day"


def read_report(
    context: IngestContext, client: ShopifyClient, reading: Reading, is_granted: bool, requested: Window | None
) -> ReportPages | None:
    """The report of the days that are over, read and ready to be loaded; None, with a notice, where it cannot be had.

    Args:
        context: the run; takes the notice.
        client: the shop.
        reading: says where the watermark stands afterwards.
        is_granted: whether the token has the scope ``REPORTS_SCOPE``.
        requested: days to read again, as instants of UTC; None for the last ones.
    """
    zone = ZoneInfo(client.source.timezone)
    today = context.as_of.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone).date()
    days = _days(requested, zone) if requested else (today - DAYS_BACK * DAY, today - DAY)
    first, last = max(days[0], context.history_start.date()), min(days[1], today - DAY)
    if first > last:
        return None
    window = Window(_midnight(first, zone), _midnight(last + DAY, zone))
    pages = ReportPages(context, client, REPORTS, Reading(window, reading.covered_through))
    try:
        if not is_granted:
            raise SourceError(SOURCE, f"the token has no scope {REPORTS_SCOPE}", GRANT_REPORTS)
        with as_asked():
            pages.days = _rows(client, first, last)
    except SourceError as error:
        message = f"the shop's own sales report cannot be read, its days stay unreconciled: {error.cause}"
        context.notices.append(Notice(REPORTS.table, message, error.cure))
        return None
    return pages


class ReportPages(RecordPages):
    """The rows of a report, one a day, once it is read."""

    tables = (REPORTS.name,)
    days: Sequence[Record] = ()

    def pages(self) -> Iterator[list[Record]]:
        yield list(self.days)


def _rows(client: ShopifyClient, first: date, last: date) -> list[Record]:
    data = client.query(SALES_REPORT, {"query": sales_report(first, last)})
    if (zone := data["shop"]["ianaTimezone"]) != client.source.timezone:
        raise SourceError(
            SOURCE,
            f"its days are those of {zone}, online business dates those of {client.source.timezone}",
            "Give the shop the zone of INSIGHTMART_TIMEZONE (its settings, store details)",
        )
    report = data["shopifyqlQuery"] or {}
    table = report.get("tableData")
    if report.get("parseErrors") or table is None:
        errors = "; ".join(map(str, report.get("parseErrors") or ["no table"]))
        cure = "The query does not fit this API version; check it against Shopify's reference of the schema sales"
        raise SourceError(SOURCE, f"Shopify does not take the query: {errors}", cure)
    if not table["columns"] and table["rows"] == []:
        return []
    found = {column["name"]: column["dataType"] for column in table["columns"]}
    if found != COLUMNS or not isinstance(table["rows"], list):
        wrong = ", ".join(f"{name} {kind}" for name, kind in sorted(found.items() ^ COLUMNS.items())) or "no rows"
        cure = "Compare Shopify's reference of the schema sales with ingestion/shopify/sales_reports.py"
        raise SourceError(SOURCE, f"it has not the columns that were asked for ({wrong})", cure)
    rows: list[Record] = table["rows"]
    return rows


def _days(window: Window, zone: ZoneInfo) -> tuple[date, date]:
    start, end = (instant.replace(tzinfo=ZoneInfo("UTC")) for instant in (window.start, window.end))
    return start.astimezone(zone).date(), (end - timedelta(microseconds=1)).astimezone(zone).date()


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
