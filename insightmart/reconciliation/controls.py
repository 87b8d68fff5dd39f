"""The SQL of the reconciliation: each control inserts its comparison into ops.reconciliations, one row a measure.

Set SQL in the part that DuckDB and Snowflake share (but for the local date), exact decimals throughout. Controls:

- ``rows``: what raw holds in its latest version = accepted + excluded + quarantined in staging (excluded: cancelled and
  test orders; earlier counts of the same hour); accepted = core; core = certified. For events that are certified.
- ``loads``: what the source said it has = what its load landed, counted again in raw, + what was rejected.
- ``tills``: a store's own closing figures = certified store sales, for business dates that are certified to their end.
- ``levels``: order level (``source_total``) = hourly (``core_total``) = daily (``certified_total``), all certified, for
  each business date, store and channel (entity ``sales_CHANNEL``).

``store_id`` NULL stands for all stores; -1 where the store is not known. ``difference`` is zero when all agree.
A status is ``matched``, ``failed``, or what explains a difference: ``correction open`` (the window is queued to be
restated), ``quarantined`` (exactly the rejected rows are missing), ``pending`` (the till file, or its new version after
a late correction, has not come), ``edited meanwhile`` (Shopify orders changed while they were read; read again next).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ingestion.contracts import ENTITIES, Entity, entity
from ingestion.loading.versions import event_instant, not_deleted
from ingestion.stores.content import current_loads
from ingestion.warehouse import Warehouse, bind
from insightmart.reconciliation.sql_text import exact_sum
from insightmart.settings import Settings

MATCHED = "matched"
FAILED = "failed"

LAYERS = ("raw", "accepted", "excluded", "quarantined", "core", "certified")
SALES_MEASURES = (
    "orders",
    "units",
    "gross_sales",
    "discounts",
    "returns",
    "net_sales",
    "taxes",
    "shipping",
    "total_sales",
)
TILL_MEASURES = {  # column of the till -> column of certified.agg_sales_daily
    "transactions": "orders",
    "gross_sales": "gross_sales",
    "discounts": "discounts",
    "returns": "returns",
    "net_sales": "net_sales",
}
TILL_AGAIN = timedelta(hours=2)  # a store sends its till again within an hour of a correction; it is read an hour later
EDITED_SHARE = 100  # of so many Shopify orders one may change, and so leave its window, while the window is read

TOTALS = ("source_total", "raw_total", "core_total", "certified_total", "excluded_total", "quarantined_total")
_KEY = ("entity", "control", "business_date", "store_id", "measure")
_COLUMNS = (*_KEY, *TOTALS, "difference", "status")


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


class Controls:
    """The controls of one scope on one warehouse; every method runs one statement."""

    def __init__(self, warehouse: Warehouse, settings: Settings, scope: Scope) -> None:
        self.warehouse = warehouse
        self.values = {
            "run_id": scope.run_id,
            "as_of": scope.as_of,
            "reconciled_at": scope.reconciled_at,
            "date_from": scope.date_from,
            "date_to": scope.date_to,
            "day_after": scope.date_to + timedelta(days=1),
            "events_from": scope.events_from,
            "events_to": scope.events_to,
            "loaded_from": scope.loaded_from,
            "company_timezone": settings.timezone,
            "history_start": settings.history_start,
            "start_date": settings.start,
            "till_again": scope.as_of - TILL_AGAIN - timedelta(minutes=settings.store_grace_minutes),
            "edited_share": EDITED_SHARE,
        }

    def sales_rows(self, source: str, through: datetime) -> None:
        """``rows`` of the orders, lines and refunds of ``oltp`` or ``shopify`` with events before ``through`` (UTC)."""
        raw = _raw_oltp_sales() if source == "oltp" else _raw_shopify_sales()
        flows = f"{raw} UNION ALL {_staged_sales(source)}"
        self._rows(source, "sales", through, flows, _published_sales(source))

    def inventory_rows(self, source: str, through: datetime) -> None:
        """``rows`` of the stock counts of ``stores`` or ``shopify``, for counts made before ``through`` (UTC)."""
        raw = _RAW_STORES_INVENTORY if source == "stores" else _RAW_SHOPIFY_INVENTORY
        flows = f"{raw} UNION ALL {_staged_inventory(source)}"
        self._rows(source, "inventory", through, flows, _published_inventory(source))

    def _rows(self, source: str, subject: str, through: datetime, flows: str, published: str) -> None:
        """Compare the layers.

        ``flows`` is common table expressions up to and including the begin of ``flows``: rows of (entity, layer,
        event_at, store_id, amount). ``published`` selects what core and certified hold, by business date and store.
        """
        self._insert(
            f"""
            WITH {flows}),
            located AS (
                SELECT f.entity, f.layer, f.store_id, f.amount, {self._local_date("f.event_at")} AS business_date
                FROM flows AS f
                {_store_at("f.store_id", "f.event_at")}
                WHERE f.event_at >= :events_from AND f.event_at < :events_to AND f.event_at < :through
            ),
            totals AS (
                SELECT entity, layer, business_date, store_id, COUNT(*) AS row_count, {exact_sum("amount")} AS amount
                FROM located GROUP BY entity, layer, business_date, store_id
                UNION ALL {published}
            ),
            by_layer AS (
                SELECT entity, business_date, store_id, {_by_layer("row_count")}, {_by_layer("amount")}
                FROM totals WHERE business_date BETWEEN :date_from AND :date_to
                GROUP BY entity, business_date, store_id
            ),
            measures AS ({_layers_measure("rows", "row_count")} UNION ALL {_layers_measure("amount", "amount")}),
            {_corrected_dates("by_layer")}
            SELECT :source || '_' || m.entity AS entity, 'rows' AS control, m.business_date, m.store_id, m.measure,
                NULL AS source_total, m.raw_total, m.core_total, m.certified_total, m.excluded_total,
                m.quarantined_total, m.difference,
                CASE WHEN m.difference = 0 THEN 'matched'
                    WHEN c.business_date IS NOT NULL THEN 'correction open'
                    ELSE 'failed' END AS status
            FROM measures AS m
            LEFT JOIN corrected AS c ON c.business_date = m.business_date
            """,
            source=source,
            subject=subject,
            through=through,
        )

    def loads(self) -> None:
        """``loads`` of the scope's dates, by the UTC date a load was made as of."""
        landed = " UNION ALL ".join(
            f"SELECT '{item.source}' AS source, '{item.name}' AS entity, _dlt_load_id AS load_id,"
            f" COUNT(*) AS landed_rows FROM raw.{item.table} WHERE _loaded_at >= :date_from GROUP BY _dlt_load_id"
            for item in ENTITIES
        )
        self._insert(
            f"""
            WITH landed AS ({landed}),
            loads AS (
                SELECT l.source, l.entity, CAST(l.loaded_at AS DATE) AS load_date, l.source_count, l.source_sum,
                    l.landed_sum, COALESCE(r.landed_rows, 0) AS landed_rows,
                    COALESCE(l.rejected_rows, 0) AS rejected_rows
                FROM ops.loads AS l
                LEFT JOIN landed AS r ON r.source = l.source AND r.entity = l.entity AND r.load_id = l.load_id
                WHERE l.status IN ('loaded', 'empty') AND l.loaded_at >= :date_from AND l.loaded_at < :day_after
            ),
            measures AS (
                SELECT source, entity, load_date, 'rows' AS measure, {exact_sum("source_count")} AS source_total,
                    {exact_sum("landed_rows")} AS raw_total, {exact_sum("rejected_rows")} AS rejected_rows,
                    {exact_sum("source_count - landed_rows - rejected_rows")} AS difference
                FROM loads WHERE source_count IS NOT NULL GROUP BY source, entity, load_date
                UNION ALL
                SELECT source, entity, load_date, 'amount', {exact_sum("source_sum")},
                    {exact_sum("COALESCE(landed_sum, 0)")}, {exact_sum("rejected_rows")},
                    {exact_sum("source_sum - COALESCE(landed_sum, 0)")}
                FROM loads WHERE source_sum IS NOT NULL GROUP BY source, entity, load_date
            )
            SELECT source || '_' || entity AS entity, 'loads' AS control, load_date AS business_date, NULL AS store_id,
                measure, source_total, raw_total, NULL AS core_total, NULL AS certified_total, NULL AS excluded_total,
                CASE WHEN measure = 'rows' THEN rejected_rows END AS quarantined_total, difference,
                CASE WHEN difference = 0 THEN 'matched'
                    WHEN measure = 'amount' AND rejected_rows > 0 THEN 'quarantined'
                    WHEN source = 'shopify' AND difference BETWEEN 1 AND source_total / :edited_share + 5
                        THEN 'edited meanwhile'
                    ELSE 'failed' END AS status
            FROM measures
            """
        )

    def tills(self, through: datetime) -> None:
        """``tills`` of every open store, for business dates that ended there before ``through`` (UTC)."""
        self._insert(
            f"""
            WITH certified_until AS (SELECT :through AS instant),
            days AS (
                SELECT s.store_id, d.calendar_date AS business_date
                FROM certified_until AS u
                CROSS JOIN certified.dim_stores AS s
                INNER JOIN certified.dim_dates AS d
                    ON CAST(d.calendar_date AS TIMESTAMP_NTZ) >= s.valid_from
                    AND CAST(d.calendar_date AS TIMESTAMP_NTZ) < s.valid_to
                WHERE s.store_id > 0
                    AND d.calendar_date BETWEEN :date_from AND :date_to AND d.calendar_date >= :start_date
                    AND (s.opened_on IS NULL OR d.calendar_date >= s.opened_on)
                    AND (s.closed_on IS NULL OR d.calendar_date < s.closed_on)
                    AND d.calendar_date < {self._local_date("u.instant")}
            ),
            {self._rejected_store_sales()},
            {self._changed_store_days()},
            compared AS (
                SELECT d.business_date, d.store_id,
                    t.store_id IS NULL AS no_till, changed.store_id IS NOT NULL AS is_changed,
                    {", ".join(f"t.{till} AS till_{till}" for till in TILL_MEASURES)},
                    {", ".join(f"COALESCE(a.{sales}, 0) AS sales_{till}" for till, sales in TILL_MEASURES.items())},
                    {", ".join(f"COALESCE(q.{till}, 0) AS rejected_{till}" for till in TILL_MEASURES)}
                FROM days AS d
                LEFT JOIN staging.stores_tills AS t ON t.store_id = d.store_id AND t.business_date = d.business_date
                LEFT JOIN certified.agg_sales_daily AS a
                    ON a.store_id = d.store_id AND a.business_date = d.business_date AND a.channel = 'store'
                LEFT JOIN rejected AS q ON q.store_id = d.store_id AND q.business_date = d.business_date
                LEFT JOIN changed ON changed.store_id = d.store_id AND changed.business_date = d.business_date
            ),
            measures AS ({" UNION ALL ".join(_till_measure(name) for name in TILL_MEASURES)}),
            {_corrected_dates("compared")}
            SELECT 'stores_tills' AS entity, 'tills' AS control, m.business_date, m.store_id, m.measure,
                m.till AS source_total, NULL AS raw_total, NULL AS core_total, m.sales AS certified_total,
                NULL AS excluded_total, m.rejected AS quarantined_total, COALESCE(m.till - m.sales, 0) AS difference,
                CASE WHEN m.no_till THEN 'pending'
                    WHEN m.till = m.sales THEN 'matched'
                    WHEN m.till - m.sales = m.rejected THEN 'quarantined'
                    WHEN c.business_date IS NOT NULL THEN 'correction open'
                    WHEN m.is_changed THEN 'pending'
                    ELSE 'failed' END AS status
            FROM measures AS m
            LEFT JOIN corrected AS c ON c.business_date = m.business_date
            WHERE NOT m.no_till OR m.measure = 'transactions' -- a missing till is one comparison
            """,
            source="oltp",
            subject="sales",
            through=through,
        )

    def _rejected_store_sales(self) -> str:
        """Table ``rejected``: what the quarantine keeps out of a store's figures of a business date."""
        sold, given_back = self._local_date("o.ordered_at"), self._local_date("r.refunded_at")
        in_scope = "o.ordered_at >= :events_from AND o.ordered_at < :events_to AND o.channel = 'store' AND o.is_counted"
        return f"""
            rejected_movements AS (
                SELECT {sold} AS business_date, o.store_id, 1 AS transactions, 0 AS gross_sales,
                    COALESCE(o.discount_amount, 0) AS discounts, 0 AS returns
                FROM staging._oltp_orders AS o {_store_at("o.store_id", "o.ordered_at")}
                WHERE o.rule_ids IS NOT NULL AND {in_scope}
                UNION ALL
                SELECT {sold}, o.store_id, 0, COALESCE(l.quantity * l.unit_price, 0), 0, 0
                FROM staging._oltp_order_lines AS l
                INNER JOIN staging._oltp_orders AS o ON o.order_id = l.order_id
                {_store_at("o.store_id", "o.ordered_at")}
                WHERE l.rule_ids IS NOT NULL AND {in_scope}
                UNION ALL
                SELECT {given_back}, o.store_id, 0, 0, 0, COALESCE(r.refund_amount, 0)
                FROM staging._oltp_refunds AS r
                INNER JOIN staging._oltp_orders AS o ON o.order_id = r.order_id
                {_store_at("o.store_id", "r.refunded_at")}
                WHERE (r.rule_ids IS NOT NULL OR o.rule_ids IS NOT NULL) AND o.channel = 'store' AND o.is_counted
                    AND r.refunded_at >= :events_from AND r.refunded_at < :events_to
            ),
            rejected AS (
                SELECT business_date, store_id, {exact_sum("transactions")} AS transactions,
                    {exact_sum("gross_sales")} AS gross_sales, {exact_sum("discounts")} AS discounts,
                    {exact_sum("returns")} AS returns, {exact_sum("gross_sales - discounts - returns")} AS net_sales
                FROM rejected_movements GROUP BY business_date, store_id
            )"""

    def _changed_store_days(self) -> str:
        """Table ``changed``: store and business date of sales that changed so lately that a new till may come."""
        lately = "_loaded_at >= :till_again AND updated_at >= :till_again"
        return f"""
            changed_orders AS (
                SELECT order_id FROM raw.oltp_orders WHERE {lately}
                UNION SELECT order_id FROM raw.oltp_order_lines WHERE {lately}
            ),
            changed AS (
                SELECT o.store_id, {self._local_date("o.ordered_at")} AS business_date
                FROM raw.oltp_orders AS o
                INNER JOIN changed_orders AS c ON c.order_id = o.order_id {_store_at("o.store_id", "o.ordered_at")}
                UNION
                SELECT o.store_id, {self._local_date("r.refunded_at")}
                FROM (SELECT order_id, refunded_at FROM raw.oltp_refunds WHERE {lately}) AS r
                INNER JOIN staging._oltp_orders AS o ON o.order_id = CAST(r.order_id AS VARCHAR)
                {_store_at("o.store_id", "r.refunded_at")}
            )"""

    def levels(self) -> None:
        """``levels``: the certified sales tables among each other, by business date, store and channel."""
        dated = "business_date BETWEEN :date_from AND :date_to"
        sums = ", ".join(f"{exact_sum(name)} AS {name}" for name in SALES_MEASURES)
        added = {"net_sales": "gross_sales - discounts - returns"}
        added["total_sales"] = f"{added['net_sales']} + taxes + shipping"
        order_sums = ", ".join(f"{exact_sum(added.get(name, name))} AS {name}" for name in SALES_MEASURES)
        self._insert(
            f"""
            WITH movements AS (
                SELECT business_date, store_id, channel, 1 AS orders, units, gross_sales,
                    discount_amount AS discounts, 0 AS returns, tax_amount AS taxes, shipping_amount AS shipping
                FROM certified.fct_orders WHERE {dated} AND ordered_at >= :events_from AND ordered_at < :events_to
                UNION ALL
                SELECT business_date, store_id, channel, 0, 0, 0, 0, refund_amount, -tax_amount, -shipping_amount
                FROM certified.fct_refunds WHERE {dated} AND refunded_at >= :events_from AND refunded_at < :events_to
            ),
            by_level AS (
                SELECT 'order' AS level, business_date, store_id, channel, {order_sums}
                FROM movements GROUP BY business_date, store_id, channel
                UNION ALL
                SELECT 'hour', business_date, store_id, channel, {sums}
                FROM certified.agg_sales_hourly WHERE {dated} GROUP BY business_date, store_id, channel
                UNION ALL
                SELECT 'day', business_date, store_id, channel, {sums}
                FROM certified.agg_sales_daily WHERE {dated} GROUP BY business_date, store_id, channel
            ),
            measures AS ({" UNION ALL ".join(_level_measure(name) for name in SALES_MEASURES)})
            SELECT 'sales_' || channel AS entity, 'levels' AS control, business_date, store_id, measure,
                source_total, NULL AS raw_total, core_total, certified_total, NULL AS excluded_total,
                NULL AS quarantined_total,
                CASE WHEN source_total <> core_total THEN source_total - core_total
                    ELSE core_total - certified_total END AS difference,
                CASE WHEN source_total = core_total AND core_total = certified_total THEN 'matched'
                    ELSE 'failed' END AS status
            FROM measures
            """
        )

    def totals(self) -> None:
        """A row for all stores of every entity, control, date and measure; its status is the worst of its stores."""
        self._insert(
            f"""
            SELECT entity, control, business_date, NULL AS store_id, measure,
                {", ".join(f"{exact_sum(name)} AS {name}" for name in (*TOTALS, "difference"))},
                CASE WHEN MAX(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) = 1 THEN 'failed'
                    ELSE COALESCE(MAX(CASE WHEN status <> 'matched' THEN status END), 'matched') END AS status
            FROM ops.reconciliations
            WHERE run_id = :run_id AND store_id IS NOT NULL
            GROUP BY entity, control, business_date, measure
            """
        )

    def drop_repetitions(self) -> None:
        """Forget this run's matched store rows that repeat what was last recorded for the same store, date and measure.

        So a store's day stands in ops.reconciliations once, and again whenever its figures change.
        """
        figures = ", ".join((*_KEY, *(f"COALESCE(CAST({name} AS VARCHAR), '')" for name in TOTALS)))
        statement, params = bind(
            f"""
            DELETE FROM ops.reconciliations
            WHERE run_id = :run_id AND status = 'matched' AND store_id IS NOT NULL AND ({figures}) IN (
                SELECT {figures}
                FROM (
                    SELECT * FROM ops.reconciliations
                    WHERE run_id <> :run_id AND store_id IS NOT NULL AND business_date BETWEEN :date_from AND :date_to
                    QUALIFY ROW_NUMBER() OVER (PARTITION BY {", ".join(_KEY)} ORDER BY reconciled_at DESC) = 1
                ) AS earlier
                WHERE status = 'matched'
            )
            """,
            **self.values,
        )
        self.warehouse.execute(statement, params)

    def _insert(self, select: str, **values: object) -> None:
        """Insert the rows of a select that yields the columns of ``_COLUMNS``, in this order."""
        statement, params = bind(
            f"INSERT INTO ops.reconciliations (run_id, as_of, reconciled_at, {', '.join(_COLUMNS)})"
            f" SELECT :run_id, :as_of, :reconciled_at, {', '.join(_COLUMNS)} FROM ({select}) AS found",
            **self.values,
            **values,
        )
        self.warehouse.execute(statement, params)

    def _local_date(self, instant: str) -> str:
        """SQL for the date that a UTC instant has where the store ``s`` stands.

        ``instant`` is a column: DuckDB would number a mark in it after the one of the time zone.
        """
        zone = "COALESCE(s.timezone, :company_timezone)"
        if self.warehouse.dialect == "snowflake":
            return f"CAST(CONVERT_TIMEZONE('UTC', {zone}, {instant}) AS DATE)"
        return f"CAST({instant} AT TIME ZONE 'UTC' AT TIME ZONE {zone} AS DATE)"


# --- pieces of SQL -----------------------------------------------------------------------------------------------


def _store_at(store_id: str, instant: str) -> str:
    """The version of the store that held at an instant, as ``s``."""
    return (
        f"LEFT JOIN core.dim_stores AS s ON s.store_id = {store_id}"
        f" AND {instant} >= s.valid_from AND {instant} < s.valid_to"
    )


def _by_layer(column: str) -> str:
    cases = {layer: f"CASE WHEN layer = '{layer}' THEN {column} ELSE 0 END" for layer in LAYERS}
    return ", ".join(f"{exact_sum(case)} AS {layer}_{column}" for layer, case in cases.items())


def _layers_measure(measure: str, column: str) -> str:
    raw, accepted, excluded, quarantined, core, certified = (f"{layer}_{column}" for layer in LAYERS)
    return f"""
        SELECT entity, business_date, store_id, '{measure}' AS measure, {raw} AS raw_total, {core} AS core_total,
            {certified} AS certified_total, {excluded} AS excluded_total, {quarantined} AS quarantined_total,
            CASE WHEN {raw} <> {accepted} + {excluded} + {quarantined}
                    THEN {raw} - {accepted} - {excluded} - {quarantined}
                WHEN {accepted} <> {core} THEN {accepted} - {core}
                ELSE {core} - {certified} END AS difference
        FROM by_layer"""


def _till_measure(name: str) -> str:
    return f"""
        SELECT business_date, store_id, no_till, is_changed, '{name}' AS measure,
            CAST(till_{name} AS DECIMAL(38, 4)) AS till, CAST(sales_{name} AS DECIMAL(38, 4)) AS sales,
            CAST(rejected_{name} AS DECIMAL(38, 4)) AS rejected
        FROM compared"""


def _level_measure(name: str) -> str:
    columns = {"order": "source_total", "hour": "core_total", "day": "certified_total"}
    cases = {column: f"CASE WHEN level = '{level}' THEN {name} ELSE 0 END" for level, column in columns.items()}
    sums = ", ".join(f"{exact_sum(case)} AS {column}" for column, case in cases.items())
    keys = "business_date, store_id, channel"
    return f"SELECT {keys}, '{name}' AS measure, {sums} FROM by_level GROUP BY {keys}"


def _corrected_dates(table: str) -> str:
    """Table ``corrected``: the business dates of a table that an open correction window may change."""
    midnight = "CAST(k.business_date AS TIMESTAMP_NTZ)"
    return f"""
            corrected AS (
                SELECT DISTINCT k.business_date
                FROM (SELECT DISTINCT business_date FROM {table}) AS k
                INNER JOIN ops.correction_windows AS w
                    ON w.window_start < {midnight} + INTERVAL '36 HOURS'
                    AND w.window_end > {midnight} - INTERVAL '14 HOURS'
                WHERE w.status = 'open' AND ((w.source = :source AND w.entity = :subject) OR w.source = 'manual')
            )"""


def _without_key(item: Entity) -> str:
    """A text that tells rows without a key apart by their content; NULL for other rows."""
    missing = " OR ".join(f"{name} IS NULL" for name in item.key)
    others = [column.name for column in item.columns if column.name not in item.key]
    content = " || '|' || ".join(f"COALESCE(CAST({name} AS VARCHAR), '')" for name in others)
    return f"CASE WHEN {missing} THEN {content} END"


def _latest_oltp(name: str, columns: str, order: str) -> str:
    """The latest version of every record of an OLTP entity, read from raw by its own statement of the rule."""
    item = entity("oltp", name)
    return f"""
            SELECT {columns} FROM raw.{item.table} AS r
            WHERE _loaded_at >= :loaded_from AND {not_deleted(item, "r")}
            QUALIFY ROW_NUMBER() OVER (
                PARTITION BY {", ".join(item.key)}, {_without_key(item)}
                ORDER BY updated_at DESC NULLS LAST, _dlt_load_id DESC, {order}
            ) = 1"""


def _raw_oltp_sales() -> str:
    """Common table expressions up to the raw rows of ``flows``; an order line stands with its order."""
    orders = f"order_id, store_id, total_amount, {event_instant('ordered_at')} AS event_at"
    amount = "CAST(quantity * unit_price AS DECIMAL(38, 4)) AS amount"
    lines = f"order_id, {amount}, {event_instant('updated_at')} AS changed_at"
    refunds = f"order_id, amount, {event_instant('refunded_at')} AS event_at"
    return f"""
            raw_orders AS ({_latest_oltp("orders", orders, "total_amount DESC NULLS LAST, status DESC NULLS LAST")}),
            raw_lines AS ({_latest_oltp("order_lines", lines, "quantity DESC NULLS LAST, unit_price DESC NULLS LAST")}),
            raw_refunds AS ({_latest_oltp("refunds", refunds, "amount DESC NULLS LAST")}),
            flows AS (
                {_raw_orders("oltp")}
                UNION ALL
                SELECT 'order_lines', 'raw', COALESCE(o.event_at, l.changed_at), COALESCE(o.store_id, -1),
                    COALESCE(l.amount, 0)
                FROM raw_lines AS l
                LEFT JOIN raw_orders AS o ON o.order_id = l.order_id
                LEFT JOIN (
                    SELECT DISTINCT order_id FROM raw.oltp_orders AS r
                    WHERE order_id IN (SELECT order_id FROM raw_lines)
                        AND {not_deleted(entity("oltp", "orders"), "r")}
                ) AS known ON known.order_id = l.order_id
                WHERE o.order_id IS NOT NULL OR known.order_id IS NULL -- else the order is older than the scope
                UNION ALL
                {_raw_refunds("oltp")}"""


def _raw_shopify_sales() -> str:
    """Common table expressions up to the raw rows of ``flows``; lines and refunds of the latest version of an order."""
    placed = "COALESCE(processed_at, created_at)"
    of_version = "v.order_id = r.order_id AND v.load_id = r._dlt_load_id AND v.version_at = r.order_updated_at"
    return f"""
            raw_orders AS (
                SELECT order_id, 0 AS store_id, total_amount, updated_at AS version_at, _dlt_load_id AS load_id,
                    {event_instant(placed)} AS event_at
                FROM raw.shopify_orders WHERE _loaded_at >= :loaded_from
                QUALIFY ROW_NUMBER() OVER (
                    PARTITION BY order_id ORDER BY updated_at DESC NULLS LAST, _dlt_load_id DESC
                ) = 1
            ),
            raw_lines AS (
                SELECT v.event_at, CAST(r.quantity * r.unit_price AS DECIMAL(38, 4)) AS amount
                FROM raw.shopify_order_lines AS r INNER JOIN raw_orders AS v ON {of_version}
                QUALIFY ROW_NUMBER() OVER (PARTITION BY r.order_id, r.line_item_id ORDER BY r.line_position) = 1
            ),
            raw_refunds AS (
                SELECT r.order_id, r.subtotal_amount AS amount,
                    {event_instant("refunded_at", "order_updated_at")} AS event_at
                FROM raw.shopify_refunds AS r INNER JOIN raw_orders AS v ON {of_version}
                QUALIFY ROW_NUMBER() OVER (
                    PARTITION BY r.refund_id, r.refund_line_id ORDER BY r.line_item_id NULLS LAST
                ) = 1
            ),
            flows AS (
                {_raw_orders("shopify")}
                UNION ALL
                SELECT 'order_lines', 'raw', event_at, 0, COALESCE(amount, 0) FROM raw_lines
                UNION ALL
                {_raw_refunds("shopify")}"""


def _raw_orders(source: str) -> str:
    # An order that states no total has the one that core adds up for it.
    return f"""
                SELECT 'orders' AS entity, 'raw' AS layer, r.event_at, COALESCE(r.store_id, -1) AS store_id,
                    CAST(COALESCE(r.total_amount, c.total_amount, 0) AS DECIMAL(38, 4)) AS amount
                FROM raw_orders AS r
                LEFT JOIN core.fct_orders__{source} AS c
                    ON r.total_amount IS NULL AND c.order_id = CAST(r.order_id AS VARCHAR)"""


def _raw_refunds(source: str) -> str:
    return f"""
                SELECT 'refunds', 'raw', r.event_at, COALESCE(o.store_id, -1), COALESCE(r.amount, 0)
                FROM raw_refunds AS r
                LEFT JOIN staging.{source}_orders AS o ON o.order_id = CAST(r.order_id AS VARCHAR)"""


def _staged_sales(source: str) -> str:
    layer = "CASE WHEN r.rule_ids IS NOT NULL THEN 'quarantined' WHEN {counted} THEN 'accepted' ELSE 'excluded' END"
    with_order = "COALESCE(o.is_counted, TRUE)"
    return f"""
                SELECT 'orders', {layer.format(counted="r.is_counted")}, r.event_at, COALESCE(r.store_id, -1),
                    COALESCE(r.total_amount, c.total_amount, 0)
                FROM staging._{source}_orders AS r
                LEFT JOIN core.fct_orders__{source} AS c ON r.total_amount IS NULL AND c.order_id = r.order_id
                UNION ALL
                SELECT 'order_lines', {layer.format(counted=with_order)}, r.event_at,
                    COALESCE(o.store_id, {_no_store(source)}), COALESCE(r.quantity * r.unit_price, 0)
                FROM staging._{source}_order_lines AS r
                LEFT JOIN staging._{source}_orders AS o ON o.order_id = r.order_id
                UNION ALL
                SELECT 'refunds', {layer.format(counted=with_order)}, r.event_at, COALESCE(o.store_id, -1),
                    COALESCE(r.refund_amount, 0)
                FROM staging._{source}_refunds AS r
                LEFT JOIN staging.{source}_orders AS o ON o.order_id = r.order_id
            """


def _no_store(source: str) -> int:
    return 0 if source == "shopify" else -1


def _published_sales(source: str) -> str:
    tables = {
        "orders": ("fct_orders", "ordered_at", "total_amount"),
        "order_lines": ("fct_order_lines", "ordered_at", "gross_sales"),
        "refunds": ("fct_refunds", "refunded_at", "refund_amount"),
    }
    return " UNION ALL ".join(
        f"SELECT '{name}', '{layer}', business_date, store_id, COUNT(*), {exact_sum(amount)}"
        f" FROM {layer}.{table}{suffix} WHERE source_system = '{source}' AND {_in_scope(instant)}"
        " GROUP BY business_date, store_id"
        for name, (table, instant, amount) in tables.items()
        for layer, suffix in (("core", f"__{source}"), ("certified", ""))
    )


def _in_scope(instant: str) -> str:
    return f"{instant} >= :events_from AND {instant} < :events_to AND {instant} < :through"


_RAW_STORES_INVENTORY = f"""
            current_content AS (
                SELECT store_id, on_hand, {event_instant("counted_at", "_loaded_at")} AS event_at
                FROM raw.stores_inventory
                WHERE _loaded_at >= :loaded_from
                    AND (file_name, _dlt_load_id) IN (
                        {current_loads("raw.stores_inventory", "_loaded_at >= :loaded_from")}
                    )
            ),
            flows AS (
                SELECT 'inventory' AS entity, 'raw' AS layer, event_at, COALESCE(store_id, -1) AS store_id,
                    CAST(COALESCE(on_hand, 0) AS DECIMAL(38, 4)) AS amount
                FROM current_content"""

_RAW_SHOPIFY_INVENTORY = f"""
            latest AS (
                SELECT on_hand, {event_instant("updated_at", "_loaded_at")} AS event_at
                FROM raw.shopify_inventory WHERE _loaded_at >= :loaded_from
                QUALIFY ROW_NUMBER() OVER (
                    PARTITION BY inventory_item_id, location_id, updated_at ORDER BY _dlt_load_id DESC
                ) = 1
            ),
            flows AS (
                SELECT 'inventory' AS entity, 'raw' AS layer, event_at, 0 AS store_id,
                    CAST(COALESCE(on_hand, 0) AS DECIMAL(38, 4)) AS amount
                FROM latest"""


def _staged_inventory(source: str) -> str:
    # Of several counts of a product in a store and hour the last one is accepted, the others are excluded.
    return f"""
                SELECT 'inventory',
                    CASE WHEN rule_ids IS NOT NULL THEN 'quarantined' WHEN place = 1 THEN 'accepted'
                        ELSE 'excluded' END,
                    event_at, COALESCE(store_id, -1), COALESCE(on_hand, 0)
                FROM (
                    SELECT *, ROW_NUMBER() OVER (
                        PARTITION BY rule_ids IS NULL, store_id, sku, DATE_TRUNC('HOUR', counted_at)
                        ORDER BY counted_at DESC, raw_load_id DESC, file_name DESC NULLS LAST, file_line DESC NULLS LAST
                    ) AS place
                    FROM staging._{source}_inventory
                    WHERE event_at >= :events_from AND event_at < :events_to
                ) AS counts
            """


def _published_inventory(source: str) -> str:
    of_source = "store_id = 0" if source == "shopify" else "store_id <> 0"
    return " UNION ALL ".join(
        f"SELECT 'inventory', '{layer}', business_date, store_id, COUNT(*), {exact_sum('on_hand')}"
        f" FROM {layer}.fct_inventory{suffix} WHERE {of_source} AND {_in_scope('counted_hour')}"
        " GROUP BY business_date, store_id"
        for layer, suffix in (("core", f"__{source}"), ("certified", ""))
    )
