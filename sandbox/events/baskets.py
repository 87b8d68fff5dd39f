"""What customers of stores and the phone desk put together in one UTC day, as it was meant when it was bought."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sandbox.events.catalogue import CENT, FIRST_CUSTOMER, UNKNOWN_CUSTOMER, Catalogue
from sandbox.events.draws import Draws, Integers
from sandbox.events.instants import DAY, HOUR, MINUTE, to_local
from sandbox.events.schedule import price_bug_hours
from sandbox.events.versions import (
    NULL,
    PHONE,
    STORE,
)

Flags = NDArray[np.bool_]

FIRST_ORDER = 1_000_000_000
IDS_A_DAY = 10_000_000

TRAFFIC = np.array([1, 1, 1, 1, 1, 1, 2, 4, 6, 8, 10, 12, 14, 13, 11, 11, 13, 16, 17, 14, 10, 7, 4, 2], dtype=np.int64)
WEEKDAY_PERCENT = (92, 90, 94, 98, 110, 124, 92)
PROMOTION_ORDERS = 34  # at least so many orders in a price bug hour, so that the gate has enough lines to judge
SLOT = 30 * MINUTE  # half-hour zones open on the half hour of UTC


def slot_weights(catalogue: Catalogue, day: int) -> Integers:
    """How many customers each store (row) has in each half hour (column) of a UTC day, relative to the others."""
    starts = catalogue.epoch + day * DAY + np.arange(DAY // SLOT, dtype=np.int64) * SLOT
    weights = np.zeros((len(catalogue.stores), len(starts)), dtype=np.int64)
    hours_by_zone = {name: to_local(starts, name) % DAY // HOUR for name in {s.timezone for s in catalogue.stores}}
    for row, store in enumerate(catalogue.stores):
        if store.is_open_on(catalogue.date(day)):
            hours = hours_by_zone[store.timezone]
            weights[row] = np.where((hours >= store.opens) & (hours < store.closes), TRAFFIC[hours], 0)
    return weights


def volume(catalogue: Catalogue, average: int, day: int, topic: str) -> int:
    """How many orders a day has."""
    weekday = (catalogue.epoch // DAY + day + 3) % 7  # 1970-01-01 was a Thursday
    wobble = int(Draws(catalogue.seed, topic, day).between(1, 96, 104)[0])
    return max(1, average * WEEKDAY_PERCENT[weekday] * wobble // 10_000)


def tax_on(net: Integers, rate: Integers) -> Integers:
    """Sales tax on an amount, rounded half up to the cent."""
    return (net * rate + 500_000) // 1_000_000 * CENT


def rounded_to_cents(amount: Integers) -> Integers:
    """Half up, for amounts that are not negative."""
    return (amount + CENT // 2) // CENT * CENT


@dataclass
class Baskets:
    """A day's orders and lines as they were meant when they were placed; arrays by order, then by line."""

    order_id: Integers
    store_id: Integers
    channel: Integers
    ordered_at: Integers
    customer_id: Integers
    is_test: Flags
    cancelled: Flags  # within hours
    in_bug_hour: Flags
    may_vanish: Flags  # cancelling it leaves no customer who is only known from it
    given_back: Flags  # its last line was given back: an exchange, or a slip on which nothing was sold
    scanned: Flags  # a barcode is entered as the quantity of its first line, and repaired later
    shipping: Integers
    line_order: Integers  # position of the line's order
    line_number: Integers
    sku: Integers
    quantity: Integers
    unit_price: Integers
    discount: Integers
    tax: Integers
    new_customers: list[tuple[int, int]] = field(default_factory=list)  # customer index, created_at

    @property
    def peculiar(self) -> Flags:
        """The orders to which nothing else happens."""
        return self.given_back | self.scanned

    def __len__(self) -> int:
        return len(self.order_id)

    def per_order(self, by_line: Integers) -> Integers:
        """Sum of a line measure for each order, exact."""
        sums = np.zeros(len(self), dtype=np.int64)
        np.add.at(sums, self.line_order, by_line)
        return sums

    def lines_of(self, order: int) -> range:
        """Positions of an order's lines."""
        return range(*np.searchsorted(self.line_order, [order, order + 1]).tolist())


def fill_baskets(catalogue: Catalogue, day: int) -> Baskets:
    """The orders of one UTC day, in the order they were placed."""
    slots, store_id = _placements(catalogue, day)
    count = len(slots)
    draws = Draws(catalogue.seed, "orders", day)
    ordered_at = catalogue.epoch + day * DAY + slots * SLOT + draws.below(count, SLOT // 1000) * 1000
    order = np.argsort(ordered_at, kind="stable")
    ordered_at, store_id = ordered_at[order], store_id[order]
    channel = np.where(draws.chance(count, 80), PHONE, STORE)
    customer_id, new_customers = _shoppers(catalogue, day, ordered_at)
    known_only_here = np.zeros(count, dtype=bool)
    known_only_here[np.isin(customer_id, [FIRST_CUSTOMER + index for index, _ in new_customers])] = True
    known_only_here |= customer_id >= UNKNOWN_CUSTOMER
    is_test = draws.chance(count, 6) & ~known_only_here
    cancelled = draws.chance(count, 40) & ((channel == PHONE) | draws.chance(count, 200)) & ~known_only_here & ~is_test
    bug_hours = [catalogue.epoch // HOUR + hour for hour in price_bug_hours(catalogue.seed, day)]
    shipping = np.where(channel == PHONE, np.array([0, 495, 995])[draws.weighted(count, [2, 5, 3])] * CENT, 0)

    lines = 1 + draws.weighted(count, [30, 30, 20, 12, 8])
    line_order = np.repeat(np.arange(count), lines)
    line_number = np.arange(len(line_order)) - np.repeat(np.cumsum(lines) - lines, lines) + 1
    sku, quantity, unit_price, discount = _picks(catalogue, day, len(line_order))
    tax = tax_on(quantity * unit_price - discount, catalogue.tax_rates[store_id[line_order]])
    in_bug_hour = np.isin(ordered_at // HOUR, bug_hours)
    usual = ~is_test & ~cancelled & ~in_bug_hour & ~known_only_here
    given_back, scanned = _peculiar(catalogue, day, usual, channel)
    last = np.cumsum(lines)[given_back] - 1
    quantity[last], discount[last] = -quantity[last], 0
    tax[last] = -tax_on(-quantity[last] * unit_price[last], catalogue.tax_rates[store_id[line_order[last]]])
    sku[Draws(catalogue.seed, "unlabelled", day).chance(len(sku), 2)] = NULL  # a service, a thing made to measure
    return Baskets(
        order_id=FIRST_ORDER + day * IDS_A_DAY + np.arange(count),
        store_id=store_id,
        channel=channel,
        ordered_at=ordered_at,
        customer_id=customer_id,
        is_test=is_test,
        cancelled=cancelled,
        in_bug_hour=in_bug_hour,
        may_vanish=~known_only_here,
        given_back=given_back,
        scanned=scanned,
        shipping=shipping,
        line_order=line_order,
        line_number=line_number,
        sku=sku,
        quantity=quantity,
        unit_price=unit_price,
        discount=discount,
        tax=tax,
        new_customers=new_customers,
    )


def _peculiar(catalogue: Catalogue, day: int, usual: Flags, channel: Integers) -> tuple[Flags, Flags]:
    """A few store orders on which something is given back, and one of the phone desk whose quantity is a barcode."""
    draws = Draws(catalogue.seed, "peculiar", day)
    given_back, scanned = np.zeros(len(usual), dtype=bool), np.zeros(len(usual), dtype=bool)
    in_stores = draws.shuffled(np.flatnonzero(usual & (channel == STORE)))
    given_back[in_stores[: max(2, len(usual) * 2 // 1000)]] = True
    scanned[draws.shuffled(np.flatnonzero(usual & (channel == PHONE)))[:1]] = True
    return given_back, scanned


def _placements(catalogue: Catalogue, day: int) -> tuple[Integers, Integers]:
    """Half-hour slot and store of every order of a day."""
    weights = slot_weights(catalogue, day)
    width = weights.shape[1]
    draws = Draws(catalogue.seed, "placements", day)
    cells = draws.weighted(volume(catalogue, catalogue.size.store_orders, day, "store volume"), weights.ravel())
    for hour in price_bug_hours(catalogue.seed, day):
        first = hour % 24 * 2
        missing = PROMOTION_ORDERS - int(np.count_nonzero(cells % width // 2 == hour % 24))
        busy = np.zeros_like(weights)
        busy[:, first : first + 2] = weights[:, first : first + 2]
        if missing > 0:
            cells = np.concatenate([cells, draws.weighted(missing, busy.ravel())])
    return cells % width, cells // width + 1


def _shoppers(catalogue: Catalogue, day: int, ordered_at: Integers) -> tuple[Integers, list[tuple[int, int]]]:
    """Customer id of every order (NULL for guests), and the customers created around this day's orders."""
    count, draws = len(ordered_at), Draws(catalogue.seed, "shoppers", day)
    customer_id = FIRST_CUSTOMER + draws.below(count, catalogue.customers_known(day))
    customer_id[draws.chance(count, 250)] = NULL
    strangers = draws.chance(count, 2)
    customer_id[strangers] = (UNKNOWN_CUSTOMER + day * 1_000_000 + np.arange(count))[strangers]

    # Each new customer places one of the day's orders; most get into the customer table only hours after it.
    new = min(catalogue.size.new_customers, count)
    first_orders = (np.arange(new) + draws.uniform(new)) * count // new
    first_orders = first_orders.astype(np.int64)
    index = catalogue.size.customers + day * catalogue.size.new_customers + np.arange(new)
    customer_id[first_orders] = FIRST_CUSTOMER + index
    late = draws.chance(new, 600)
    delay = np.where(late, draws.between(new, 2 * 3600, 40 * 3600), -draws.between(new, 60, 1200)) * 1_000_000
    created_at = np.maximum(ordered_at[first_orders] + delay, catalogue.epoch + 1_000_000)
    return customer_id, [(int(i), int(at)) for i, at in zip(index, created_at, strict=True)]


def _picks(catalogue: Catalogue, day: int, count: int) -> tuple[Integers, Integers, Integers, Integers]:
    """Product, quantity, unit price and discount of every line."""
    draws = Draws(catalogue.seed, "lines", day)
    sku = draws.weighted(count, catalogue.popularity[: catalogue.size.products])
    quantity = 1 + draws.weighted(count, [70, 20, 6, 3, 1])
    unit_price = catalogue.list_prices(day)[sku]
    unit_price = unit_price + np.where(draws.chance(count, 30), draws.between(count, 1, CENT - 1), 0)
    percent = np.where(draws.chance(count, 150), np.array([5, 10, 20, 25])[draws.below(count, 4)], 0)
    discount = quantity * unit_price * percent // 100 // CENT * CENT
    return sku, quantity, unit_price, discount
