"""What the certified tables must hold at a clock, from the generated events alone: never from SQL or the sources.

Money is text with four decimals and exact; dates and instants are ISO 8601 in UTC, but `business_date` is local.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pandas as pd

from sandbox.business import Business, business
from sandbox.events.daily_files import reference_files, reference_row, till_days, till_figures
from sandbox.events.instants import DAY, HOUR, date_of, iso, to_datetime, to_instant
from sandbox.events.versions import CHANNELS, NULL, STATUSES
from sandbox.truth.facts import OLTP, SHOPIFY, SOURCES, Facts
from sandbox.truth.stock import Stock, daily_stock, stock_at
from sandbox.truth.totals import MEASURES, group_keys, sales_by

COUNTS = {"orders", "units", "line_count", "quantity", "rows"}  # measures that are no money
ORDER_MEASURES = [
    "line_count", "units", "gross_sales", "discount_amount", "returned_amount", "tax_amount", "shipping_amount",
    "duties_amount", "tips_amount", "gift_cards_amount", "total_amount",
]  # fmt: skip
LINE_MEASURES = ["quantity", "gross_sales", "discount_amount", "tax_amount", "net_sales_before_returns"]
REFUND_MEASURES = ["refund_amount", "adjustment_amount", "tax_amount", "shipping_amount"]
PLACE = ["business_date", "store_id", "channel"]


def truth(seed: int, size: str, start: date, clock: datetime) -> dict[str, Any]:
    """Everything the pipeline must have certified, quarantined and blocked at a clock, as JSON-able figures.

    - `certified`: for each table its rows and the sum of each measure.
    - `agg_sales_daily`, `agg_sales_hourly`: the very rows. `facts`: rows and sums of fct_orders, fct_order_lines and
      fct_refunds by source_system, and by business_date x store_id x channel.
    - `sales_covered_through`, `shopify_covered_through`, `inventory_covered_through`: up to when each is certified.
      Shopify lags during an outage of the shop. `inventory_hours` says which hours all open stores' files are in for.
    - `blocked`: windows of one source that must not pass the gate at this clock. The figures leave out what happened
      in them (orders and lines by ordered_at, refunds by refunded_at).
    - `inventory`: counts and sums by store and date. Counts of store 0 take it that the shop is read at least once in
      47 hours. `dimensions`: members and versions; `dim_customers` also as a load at the last UTC midnight leaves it
      (`at_midnight`), and its rows after a load at each hour since (`loaded_at`). Versions of customers take it that
      they are loaded daily from the second day on.
    - `tills`: what the stores have sent. `quarantined`: rows and money by entity and rule; a row may break several.
      `rejected`: rows of inventory files as they stand that cannot be typed. `distrusted_files`: files that are
      quarantined whole as they stand.
    - `planted`: every fault and late correction that has shown so far, and what is expected of the pipeline.

    Raises ValueError for an unknown size or a clock before `start`.
    """
    source, at = business(seed, size, start), to_instant(clock)
    if at < source.epoch or at % HOUR:
        raise ValueError(f"the truth is known at whole UTC hours from {start}, not at {clock.isoformat()}")
    stores, online = source.store_facts(at), source.online_facts(source.shop_seen_at(at))
    everything = stores.with_other(online)
    blocked = stores.blocked_hours()
    certified = everything.without(OLTP, blocked)
    stock = stock_at(source, at)
    tables = {
        "fct_orders": certified.orders,
        "fct_order_lines": certified.lines.assign(
            net_sales_before_returns=certified.lines["gross_sales"] - certified.lines["discount_amount"]
        ),
        "fct_refunds": certified.refunds,
    }
    measures = {"fct_orders": ORDER_MEASURES, "fct_order_lines": LINE_MEASURES, "fct_refunds": REFUND_MEASURES}
    daily = sales_by(certified, PLACE)
    hourly = sales_by(certified, ["business_date", "business_hour", "store_id", "channel"])
    dimensions = _dimensions(source, at, everything)
    return {
        "seed": seed,
        "size": size,
        "start": start.isoformat(),
        "clock": iso(at),
        "sales_covered_through": iso(at),
        "shopify_covered_through": iso(source.shop_seen_at(at)),
        "inventory_covered_through": iso(stock.covered_through),
        "blocked": [_blocked(stores, hour) for hour in blocked],
        "certified": {
            **{name: _total(frame, measures[name]) for name, frame in tables.items()},
            "agg_sales_daily": _total(daily, MEASURES),
            "agg_sales_hourly": _total(hourly, MEASURES),
            **_stock_totals(stock),
            **{name: {"rows": figures["rows"], "sums": {}} for name, figures in dimensions.items()},
        },
        "facts": {name: _by_source_and_place(frame, measures[name]) for name, frame in tables.items()},
        "agg_sales_daily": _rows(daily),
        "agg_sales_hourly": _rows(hourly),
        "orders_by_status": _orders_by_status(certified.orders),
        "inventory": _stock_by_place(stock),
        "inventory_hours": stock.hours,
        "dimensions": dimensions,
        "tills": _tills(source, at),
        "quarantined": _quarantined(everything, stock),
        "rejected": {"stores_inventory": stock.rejected},
        "distrusted_files": [*stock.distrusted, *_distrusted_reference(source, at)],
        "planted": [fault.as_json() for fault in source.planted(at)],
    }


def _text(measure: str, number: int) -> Any:
    """A count as a number, money as text."""
    if measure in COUNTS:
        return int(number)
    sign = "-" if number < 0 else ""
    return f"{sign}{abs(int(number)) // 10_000}.{abs(int(number)) % 10_000:04d}"


def _total(frame: pd.DataFrame, measures: list[str]) -> dict[str, Any]:
    return {"rows": len(frame), "sums": {measure: _text(measure, frame[measure].sum()) for measure in measures}}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame with its places and measures spelt out."""
    columns = {}
    for name in frame.columns:
        numbers = frame[name].tolist()
        if name == "business_date":
            columns[name] = [date_of(number).isoformat() for number in numbers]
        elif name == "channel":
            columns[name] = [CHANNELS[number] for number in numbers]
        elif name in ("business_hour", "store_id"):
            columns[name] = numbers
        else:
            columns[name] = [_text(name, number) for number in numbers]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _by_source_and_place(facts: pd.DataFrame, measures: list[str]) -> dict[str, Any]:
    keyed = facts[measures].assign(rows=1, **group_keys(facts, PLACE))
    return {
        "by_source": {name: _total(facts[facts["source"] == code], measures) for code, name in enumerate(SOURCES)},
        "by_date_store_channel": _rows(keyed.groupby(PLACE, as_index=False).sum()[[*PLACE, "rows", *measures]]),
    }


def _orders_by_status(orders: pd.DataFrame) -> dict[str, dict[str, int]]:
    return {
        name: {
            STATUSES[int(status)]: int(count)
            for status, count in orders.loc[orders["source"] == code, "status"].value_counts().sort_index().items()
        }
        for code, name in enumerate(SOURCES)
    }


def _blocked(stores: Facts, hour: int) -> dict[str, Any]:
    lines = stores.hours.loc[hour]
    return {
        "source": SOURCES[OLTP],
        "from": iso(hour * HOUR),
        "to": iso((hour + 1) * HOUR),
        "lines": int(lines["lines"]),
        "rejected_lines": int(lines["rejected"]),
    }


# -- stock -------------------------------------------------------------------------------------------------------------


def _stock_totals(stock: Stock) -> dict[str, Any]:
    daily = daily_stock(stock.counts)
    return {
        "fct_inventory": {"rows": len(stock.counts), "sums": {"on_hand": int(stock.counts["on_hand"].sum())}},
        "agg_inventory_daily": {
            "rows": len(daily),
            "sums": {name: int(daily[name].sum()) for name in ("closing_on_hand", "stockout_hours")},
        },
    }


def _stock_by_place(stock: Stock) -> list[dict[str, Any]]:
    """Counts, and days of products, by store and business date."""
    keys = ["business_date", "store_id"]
    counted = stock.counts.groupby(keys).agg(counts=("on_hand", "size"), on_hand=("on_hand", "sum"))
    days = daily_stock(stock.counts).groupby(keys)
    daily = days.agg(
        products=("product", "size"),
        closing_on_hand=("closing_on_hand", "sum"),
        stockout_hours=("stockout_hours", "sum"),
    )
    return [
        {"business_date": date_of(row["business_date"]).isoformat()}
        | {name: int(value) for name, value in row.items() if name != "business_date"}
        for row in counted.join(daily).reset_index().to_dict("records")
    ]


# -- dimensions --------------------------------------------------------------------------------------------------------


def _dimensions(source: Business, clock: int, facts: Facts) -> dict[str, Any]:
    midnight = source.epoch + source.day_of(clock) * DAY
    if clock == source.epoch:  # the tables are still empty: even what is older than history comes with its first hour
        clock = midnight = NULL
    size = source.catalogue.size
    hours = range(midnight, clock + 1, HOUR) if clock != NULL else ()
    return {
        "dim_customers": _customers(source, facts, clock)
        | {
            "at_midnight": _customers(source, facts, midnight),
            "loaded_at": {iso(hour): _customers(source, facts, hour)["rows"] for hour in hours},
        },
        "dim_stores": _stores(source, clock),
        "dim_products": {
            "rows": size.products + size.web_products if clock > source.epoch else 0,
            "oltp": size.products,
            "shopify_only": size.web_products,
        },
    }


def _customers(source: Business, facts: Facts, loaded_through: int) -> dict[str, int]:
    """Versions of the customers loaded so far, and a member for every other customer of an order."""
    versions = source.customers(loaded_through)
    ordering = facts.orders[facts.orders["customer_id"] != NULL]
    in_stores = set(ordering.loc[ordering["source"] == OLTP, "customer_id"].tolist())
    online = set(ordering.loc[ordering["source"] == SHOPIFY, "customer_id"].tolist())
    members = set(versions["customer_id"].tolist())
    inferred = len(in_stores - members) + len(online)
    return {
        "rows": len(versions) + inferred,
        "members": len(members) + inferred,
        "inferred": inferred,
        "versions_of_known_members": len(versions),
    }


def _stores(source: Business, clock: int) -> dict[str, Any]:
    """Versions of the stores out of the reference files that are in; with the two members every business has."""
    catalogue = source.catalogue
    versions: dict[int, list[tuple[str, ...]]] = {}
    for day in range(source.day_of(clock - 1) + 1 if clock > source.epoch else 0):
        for file in reference_files(catalogue, day):
            if file.is_good and file.visible_at < clock:
                row = reference_row(catalogue, catalogue.stores[file.store_id - 1], day)
                history = versions.setdefault(file.store_id, [])
                if not history or history[-1] != row:
                    history.append(row)
    return {
        "rows": sum(len(history) for history in versions.values()) + 2,
        "members": len(versions) + 2,
        "stores": [
            {
                "store_id": store_id,
                "name": history[-1][1],
                "city": history[-1][4],
                "timezone": history[-1][7],
                "closed_on": history[-1][9] or None,
                "manager": history[-1][11],
                "versions": len(history),
            }
            for store_id, history in sorted(versions.items())
        ],
    }


def _distrusted_reference(source: Business, clock: int) -> list[str]:
    """Keys of reference files that stand in the bucket and cannot be trusted."""
    keys = []
    for day in range(source.day_of(clock - 1) + 1 if clock > source.epoch else 0):
        standing = {file.key: file for file in reference_files(source.catalogue, day) if file.visible_at < clock}
        keys += [key for key, file in standing.items() if not file.trusted]
    return keys


# -- tills and quarantine ----------------------------------------------------------------------------------------------


def _tills(source: Business, clock: int) -> list[dict[str, Any]]:
    """The till files that are in, with the figures they stand at."""
    totals = source.all_tills(clock)
    names = ("gross_sales", "discounts", "returns", "net_sales")
    rows = []
    for store, day, sent_at in till_days(source.catalogue, clock):
        transactions, *amounts = till_figures(totals, store, day)
        rows.append(
            {
                "store_id": store.store_id,
                "business_date": day.isoformat(),
                "sent_at": to_datetime(sent_at).isoformat(),
                "transactions": transactions,
                **{name: _text(name, amount) for name, amount in zip(names, amounts, strict=True)},
            }
        )
    return rows


def _quarantined(facts: Facts, stock: Stock) -> dict[str, Any]:
    """Rows and money split off, by entity and rule."""
    entities: dict[str, Any] = {}
    for entity, broken in sorted(facts.quarantined.items()):
        by_rule = broken.groupby("rule")["money"].agg(["size", "sum"])
        rows = broken.drop_duplicates("row")
        entities[entity] = {
            "rows": len(rows),
            "money": _text("money", rows["money"].sum()),
            "rules": {
                str(rule): {"rows": int(size), "money": _text("money", money)}
                for rule, size, money in by_rule.itertuples()
            },
        }
    rules = {rule: {"rows": rows, "money": _text("money", 0)} for rule, rows in sorted(stock.quarantined.items())}
    entities["stores_inventory"] = {"rows": sum(stock.quarantined.values()), "money": _text("money", 0), "rules": rules}
    return entities
