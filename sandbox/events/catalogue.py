"""What the business sells, where, and to whom: stores, products with their prices, customers with their changes.

Everything is a pure function of seed, size and start day; `day` counts UTC days from the start of history.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np

from sandbox.events.draws import Draws, Integers
from sandbox.events.instants import DAY, HOUR, MINUTE, SECOND, midnight_of
from sandbox.events.sizes import Size

COMPANY_ZONE = "America/New_York"
CENT = 100  # money is counted in ten-thousandths of a dollar
DOLLAR = 100 * CENT

# city, state, country, region, zone, sales tax in hundredths of a percent. The first six are the whole of `tiny`.
CITIES = (
    ("New York", "NY", "US", "Northeast", "America/New_York", 888),
    ("Los Angeles", "CA", "US", "West", "America/Los_Angeles", 950),
    ("London", "England", "GB", "Europe", "Europe/London", 2000),
    ("Bengaluru", "Karnataka", "IN", "Asia", "Asia/Kolkata", 1800),
    ("Sydney", "NSW", "AU", "Oceania", "Australia/Sydney", 1000),
    ("Honolulu", "HI", "US", "Pacific", "Pacific/Honolulu", 471),
    ("Chicago", "IL", "US", "Midwest", "America/Chicago", 1025),
    ("Boston", "MA", "US", "Northeast", "America/New_York", 625),
    ("Denver", "CO", "US", "West", "America/Denver", 881),
    ("San José", "CA", "US", "West", "America/Los_Angeles", 938),
    ("Atlanta", "GA", "US", "South", "America/New_York", 890),
    ("Houston", "TX", "US", "South", "America/Chicago", 825),
    ("Montréal", "QC", "CA", "Canada", "America/Toronto", 1498),
    ("Seattle", "WA", "US", "West", "America/Los_Angeles", 1035),
    ("Philadelphia", "PA", "US", "Northeast", "America/New_York", 800),
    ("Phoenix", "AZ", "US", "West", "America/Phoenix", 860),
    ("Minneapolis", "MN", "US", "Midwest", "America/Chicago", 903),
    ("München", "Bayern", "DE", "Europe", "Europe/Berlin", 1900),
    ("Portland", "OR", "US", "West", "America/Los_Angeles", 0),
    ("Miami", "FL", "US", "South", "America/New_York", 700),
    ("Adelaide", "SA", "AU", "Oceania", "Australia/Adelaide", 1000),
    ("Dallas", "TX", "US", "South", "America/Chicago", 825),
    ("Málaga", "Andalucía", "ES", "Europe", "Europe/Madrid", 2100),
    ("Anchorage", "AK", "US", "Pacific", "America/Anchorage", 0),
    ("Detroit", "MI", "US", "Midwest", "America/New_York", 600),
)
# Only characters that Latin-1 has: reference files are sent in it, too.
MANAGERS = (
    "Zoë Müller",
    "James O'Neil",
    "Renée Lefèvre",
    "Priya Raman",
    "José Núñez",
    "Anna Lindström",
    "Grace Kim",
    "Tomás Peña",
    "Olivia Brown",
    "Günther Weiß",
    "Aroha Ngata",
    "Chloé Dubois",
    "Samuel Osei",
)
FORMATS = ("flagship", "standard", "express", "outlet")
FIRST_NAMES = (
    "Ada", "Björn", "Carla", "Deepa", "Elif", "François", "Grace", "Hana", "Iván", "Jürgen", "Keiko", "Liam", "María",
    "Noah", "Olga", "Pablo", "Quinn", "Rosa", "Søren", "Tara", "Uma", "Víctor", "Wei", "Yara",
)  # fmt: skip
LAST_NAMES = (
    "Adams", "Brandão", "Chen", "Díaz", "Eriksen", "Fischer", "García", "Hughes", "Ito", "Johnson", "Köhler", "Lopez",
    "Martin", "Nguyen", "Okafor", "Patel", "Quist", "Rossi", "Smith", "Türk", "Weber", "Young",
)  # fmt: skip
HOMES = (  # city, region, country, postal code
    ("Albany", "Northeast", "US", "12207"),
    ("Oakland", "West", "US", "94607"),
    ("Austin", "South", "US", "73301"),
    ("Madison", "Midwest", "US", "53703"),
    ("Leeds", "Europe", "GB", "LS1 4DY"),
    ("Köln", "Europe", "DE", "50667"),
    ("Mysuru", "Asia", "IN", "570001"),
    ("Perth", "Oceania", "AU", "6000"),
    ("Québec", "Canada", "CA", "G1R 4P5"),
)
TIERS = ("bronze", "silver", "gold", "platinum")
CATEGORIES = (
    ("AP", "Apparel"),
    ("HM", "Home"),
    ("EL", "Electronics"),
    ("GR", "Grocery"),
    ("TY", "Toys"),
    ("BK", "Books"),
)
BRANDS = ("Northwind", "Alpenglühn", "Casa Niño", "Tidewater", "Plain & Co", "Kobo", "Umbra")
ADJECTIVES = ("Classic", "Light", "Everyday", "Crème", "Compact", "Deluxe", "Rustic")
THINGS = {
    "AP": ("Shirt", "Jacket", "Socks, 3 pair", "Scarf"),
    "HM": ("Lamp", 'Frame 8"', "Cushion", "Kettle"),
    "EL": ("Headphones", "Charger", "Keyboard", "Speaker"),
    "GR": ("Coffee", "Olive Oil", "Granola", "Tea"),
    "TY": ("Puzzle", "Blocks", "Kite", "Robot"),
    "BK": ("Cookbook", "Atlas", "Novel", "Sketchbook"),
}

FIRST_CUSTOMER = 100_001
UNKNOWN_CUSTOMER = 990_000_000  # customers the customer table never gets
FIRST_ONLINE_CUSTOMER = 7_300_000_000_001
CREATION_LAG_DAYS = 3  # a customer created on day d is in the table by day d + 3
UPDATE_CYCLE_DAYS = 7  # a customer changes at most once in so many days: no daily load can miss a version
PRICE_FACTORS = (100, 95, 110, 90, 105)


@dataclass(frozen=True)
class Store:
    """One shop. `tax_rate` is in hundredths of a percent, `opens` and `closes` are local hours."""

    store_id: int
    name: str
    format: str
    region: str
    city: str
    state: str
    country: str
    timezone: str
    tax_rate: int
    opens: int
    closes: int
    opened_on: date
    closed_on: date | None
    square_feet: int

    def is_open_on(self, day: date) -> bool:
        """Whether the shop trades and counts on that UTC day: from `opened_on` to the day before `closed_on`."""
        return self.opened_on <= day and (self.closed_on is None or day < self.closed_on)


class Catalogue:
    """Master data of one business."""

    def __init__(self, seed: int, size: Size, start: date) -> None:
        self.seed = seed
        self.size = size
        self.start = start
        self.epoch = midnight_of(start)  # the instant history begins

    def date(self, day: int) -> date:
        """The UTC date of a day of history."""
        return self.start + timedelta(days=day)

    # -- stores --------------------------------------------------------------------------------------------------------

    @cached_property
    def stores(self) -> tuple[Store, ...]:
        """All stores ever, by id from 1. In the 120, one closes and one opens during the first days."""
        draws = Draws(self.seed, "stores")
        feet = draws.between(self.size.stores, 8, 90)
        age = draws.between(self.size.stores, 200, 6000)
        return tuple(self._store(number, int(feet[number - 1]), int(age[number - 1]))
                     for number in range(1, self.size.stores + 1))  # fmt: skip

    def _store(self, number: int, feet: int, age: int) -> Store:
        closing, opening = self.size.stores - 2, self.size.stores - 1
        moving = self.size.stores > len(CITIES) and number in (closing, opening)
        # Both stand in London, whose winter time is UTC: local and UTC days agree on when they opened or closed.
        city, state, country, region, zone_name, tax = CITIES[2 if moving else (number - 1) % len(CITIES)]
        round_the_clock = number % 40 == 1
        return Store(
            store_id=number,
            name=f"InsightMart {city}" + (f" {number // len(CITIES) + 1}" if number > len(CITIES) else ""),
            format=FORMATS[number % len(FORMATS)],
            region=region,
            city=city,
            state=state,
            country=country,
            timezone=zone_name,
            tax_rate=tax,
            opens=0 if round_the_clock else 8 + number % 3,
            closes=24 if round_the_clock else 20 + number % 3,
            opened_on=self.start + timedelta(days=3)
            if moving and number == opening
            else self.start - timedelta(days=age),
            closed_on=self.start + timedelta(days=3) if moving and number == closing else None,
            square_feet=feet * 500,
        )

    def manager(self, store: Store, day: int) -> str:
        """Who runs a store on a UTC day; now and then somebody else than the day before."""
        tenure = 12 if self.size.is_small else 28
        return MANAGERS[(store.store_id * 7 + (day + 5 * store.store_id) // tenure * 5) % len(MANAGERS)]

    def stores_with_reference(self, day: int) -> list[Store]:
        """Stores that send a reference file on a UTC day: all but those that have not opened."""
        return [store for store in self.stores if store.opened_on <= self.date(day)]

    @cached_property
    def tax_rates(self) -> Integers:
        """Tax rate by store id (index 0 is unused)."""
        return np.array([0, *(store.tax_rate for store in self.stores)], dtype=np.int64)

    # -- products ------------------------------------------------------------------------------------------------------

    @cached_property
    def skus(self) -> list[str]:
        """Every sku by product index; the last `web_products` are sold online only."""
        count = self.size.products
        return [f"{CATEGORIES[index % len(CATEGORIES)][0]}-{index + 1:05d}" for index in range(count)] + [
            f"WEB-{index + 1:04d}" for index in range(self.size.web_products)
        ]

    @cached_property
    def popularity(self) -> Integers:
        """How often each product is bought, relative to the others."""
        return 100_000 // (np.arange(len(self.skus), dtype=np.int64) + 10)

    @cached_property
    def _pricing(self) -> tuple[Integers, Integers, Integers, Integers, Integers]:
        draws, count = Draws(self.seed, "products"), len(self.skus)
        base = draws.between(count, 3, 120) * 100 + 99  # cents
        margin = draws.between(count, 40, 65)
        phase = draws.below(count, 7)
        step = draws.between(count, 1, 4)
        offset = draws.below(count, 5)
        return base, margin, phase, step, offset

    def list_prices(self, day: int) -> Integers:
        """List price of every product on a UTC day, in ten-thousandths; each changes on one day of the week."""
        base, _, phase, step, offset = self._pricing
        factors = np.array(PRICE_FACTORS, dtype=np.int64)[((day + phase) // 7 * step + offset) % 5]
        prices: Integers = base * factors // 100 * CENT
        return prices

    def unit_costs(self) -> Integers:
        """Unit cost of every product, whole cents in ten-thousandths."""
        base, margin, *_ = self._pricing
        return base * margin // 100 * CENT

    def repriced(self, day: int) -> Integers:
        """Indexes of the products whose list price changes on a UTC day (none on the first)."""
        phase = self._pricing[2]
        return np.flatnonzero((day + phase) % 7 == 0).astype(np.int64) if day > 0 else np.empty(0, dtype=np.int64)

    def repriced_at(self, day: int, product: int) -> int:
        """When the new price of a product is entered."""
        return self.epoch + day * DAY + 5 * HOUR + product % 3000 * SECOND

    def product_name(self, index: int) -> str:
        """A name with whatever a product name may contain: commas, inches, accents."""
        letters = self.skus[index][:2]
        things = THINGS.get(letters, ("Gift Card Sleeve",))
        return f"{ADJECTIVES[index % len(ADJECTIVES)]} {things[index // 6 % len(things)]}"

    def product_category(self, index: int) -> str:
        return dict(CATEGORIES).get(self.skus[index][:2], "Web")

    def product_brand(self, index: int) -> str:
        return BRANDS[index * 3 % len(BRANDS)]

    def first_listed_at(self, product: int) -> int:
        """When a product got into the product table: before history."""
        return self.epoch - (product % 90 + 3) * DAY + product % 600 * MINUTE

    # -- customers -----------------------------------------------------------------------------------------------------

    def customers_known(self, day: int) -> int:
        """How many customers are in the table whatever the hour of a UTC day (ids run from FIRST_CUSTOMER)."""
        return self.size.customers + self.size.new_customers * max(0, day - CREATION_LAG_DAYS + 1)

    def customer_rows(self, first: int, count: int, topic: str, *numbers: int) -> list[dict[str, object]]:
        """First version of `count` customers from index `first`, without instants."""
        draws = Draws(self.seed, topic, *numbers)
        names = draws.below(count, len(FIRST_NAMES)), draws.below(count, len(LAST_NAMES))
        homes, tiers = draws.below(count, len(HOMES)), draws.weighted(count, [60, 25, 12, 3])
        opted_in = draws.chance(count, 550)
        return [
            _customer(first + row, *drawn)
            for row, drawn in enumerate(zip(*(a.tolist() for a in (*names, homes, tiers, opted_in)), strict=True))
        ]

    def customer_changes(self, day: int) -> list[tuple[int, int, bool, int]]:
        """Changes made on a UTC day, as (customer index, instant, whether he moved, how far his tier goes up)."""
        if day < 1:
            return []
        draws = Draws(self.seed, "customer changes", day)
        count = max(1, self.size.customers // 100)
        settled = self.size.customers + self.size.new_customers * max(0, day - UPDATE_CYCLE_DAYS - CREATION_LAG_DAYS)
        turn = day % UPDATE_CYCLE_DAYS
        eligible = (settled - turn + UPDATE_CYCLE_DAYS - 1) // UPDATE_CYCLE_DAYS
        chosen = np.unique(draws.below(count, eligible)) * UPDATE_CYCLE_DAYS + turn
        at = self.epoch + day * DAY + draws.below(len(chosen), DAY // 1000) * 1000
        moved, climbed = draws.chance(len(chosen), 300), draws.between(len(chosen), 1, len(TIERS) - 1)
        return [(int(c), int(a), bool(m), int(t)) for c, a, m, t in zip(chosen, at, moved, climbed, strict=True)]


def _customer(index: int, first: int, last: int, home: int, tier: int, opted_in: bool) -> dict[str, object]:
    first_name, last_name = FIRST_NAMES[first], LAST_NAMES[last]
    customer_id = FIRST_CUSTOMER + index
    plain = (
        unicodedata.normalize("NFKD", f"{first_name}.{last_name}".replace("ø", "o")).encode("ascii", "ignore").decode()
    )
    return {
        "customer_id": customer_id,
        "email": f"{plain.lower()}{customer_id}@example.com",
        "first_name": first_name,
        "last_name": last_name,
        "phone": f"+1-555-{customer_id % 10_000_000:07d}",
        **home_of(home),
        "loyalty_tier": TIERS[tier],
        "marketing_opt_in": opted_in,
    }


def home_of(index: int) -> dict[str, object]:
    """City, region, country and postal code a customer lives at."""
    city, region, country, postal_code = HOMES[index % len(HOMES)]
    return {"city": city, "region": region, "country": country, "postal_code": postal_code}
