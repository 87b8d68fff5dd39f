"""What every source promises: one entry an entity, with the columns that land in ``raw`` and their exact types.

The raw tables, the Arrow schemas of the loads and the column lists of ``external_models.yaml`` all come from here.
Instants are UTC without a zone (``TIMESTAMP_NTZ``), money is decimal, never a float.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

INSTANT = pa.timestamp("us")
TEXT = pa.string()
INT = pa.int64()
FLAG = pa.bool_()
DATE = pa.date32()
AMOUNT = pa.decimal128(12, 2)  # what the OLTP stores as numeric(12,2)
UNIT_PRICE = pa.decimal128(12, 4)
REFUND_AMOUNT = pa.decimal128(14, 4)
MONEY = pa.decimal128(18, 4)  # sources without a declared precision

# The longest text that a column may hold, in characters; anything longer is a file in the wrong column, or an attack.
# Rows beyond it wait in quarantine (text_too_long).
TEXT_LIMITS = {"sku": 128, "timezone": 64, "currency": 16, "country": 64, "reason": 5_000, "note": 5_000}
TEXT_LIMIT = 512

# Added to every raw row by the load itself.
LOAD_COLUMNS = (pa.field("_loaded_at", INSTANT), pa.field("_dlt_load_id", TEXT))
# Added to the rows of sources whose deletions are found by comparison: when the record was found to be gone. A row with
# it is a tombstone, a copy of the record's latest version; rows of the record that are loaded later count again.
DELETED_AT = pa.field("_deleted_at", INSTANT)
# Added to the rows of a source that is compared by content: a hash of the record's text that the source computed. NULL
# where a row did not come out of a table of the source: tombstones, replayed rejects, loads of earlier versions.
ROW_HASH = pa.field("_row_hash", INT)
# Added to every raw row that came out of a file: the object's key, the hash of its bytes, the physical line.
FILE_COLUMNS = (
    pa.field("file_name", TEXT),
    pa.field("file_hash", TEXT),
    pa.field("file_line", INT),
    pa.field("file_modified_at", INSTANT),
)


@dataclass(frozen=True)
class Entity:
    """One kind of record of one source.

    Attributes:
        source: ``oltp``, ``shopify`` or ``stores``.
        name: the entity's name within its source, as in ``ops.source_watermarks``.
        key: columns that identify a record at its source.
        event_at: column that says when the record happened (UTC), the instant its window is found by.
        columns: business columns with their types, in the order of the raw table.
        cadence: ``hourly`` or ``daily``.
        from_file: whether rows carry the position in a file.
        control_sum: number column whose sum is compared between source and raw; None: only rows are counted.
        personal: columns that say who a customer is, or in which somebody may have written it. `insightmart erase`
            empties them, and nothing that arrives later fills them again.
        impersonal: the other columns of text of an entity with a customer or an order in it: somebody looked at each.
    """

    source: str
    name: str
    key: tuple[str, ...]
    event_at: str
    columns: tuple[pa.Field, ...]
    cadence: str = "hourly"
    from_file: bool = False
    control_sum: str | None = None
    watermarked: bool = field(default=True)
    personal: tuple[str, ...] = ()
    impersonal: tuple[str, ...] = ()

    @property
    def person(self) -> str | None:
        """The column by which its rows are somebody's: a customer, or an order of one; None: they are nobody's."""
        names = [column.name for column in self.columns]
        return next((name for name in ("customer_id", "order_id") if name in names), None)

    @property
    def table(self) -> str:
        """Unqualified raw table name, e.g. ``oltp_orders``."""
        return f"{self.source}_{self.name}"

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of a batch as handed to the load: everything but the load id, which dlt adds."""
        own = (*self.columns, *(FILE_COLUMNS if self.from_file else ()), *self.deletion, *self.content)
        return pa.schema([*own, LOAD_COLUMNS[0]])

    @property
    def deletion(self) -> tuple[pa.Field, ...]:
        """The column of its tombstones, when its source is compared for deleted records."""
        is_compared = self.source == "oltp" or (self.source, self.name) == ("shopify", "orders")
        return (DELETED_AT,) if is_compared else ()

    @property
    def content(self) -> tuple[pa.Field, ...]:
        """The column that its rows are compared by with what their source holds."""
        return (ROW_HASH,) if self.source == "oltp" else ()

    @property
    def raw_columns(self) -> tuple[pa.Field, ...]:
        """All columns of the raw table."""
        return (*self.schema, LOAD_COLUMNS[1])


def _columns(**types: pa.DataType) -> tuple[pa.Field, ...]:
    return tuple(pa.field(name, kind) for name, kind in types.items())


ENTITIES: tuple[Entity, ...] = (
    Entity(
        "oltp",
        "orders",
        ("order_id",),
        "ordered_at",
        _columns(
            order_id=INT,
            customer_id=INT,
            store_id=INT,
            channel=TEXT,
            status=TEXT,
            is_test=FLAG,
            currency=TEXT,
            ordered_at=INSTANT,
            discount_amount=AMOUNT,
            tax_amount=AMOUNT,
            shipping_amount=AMOUNT,
            total_amount=AMOUNT,
            updated_at=INSTANT,
        ),
        control_sum="total_amount",
        impersonal=("channel", "status", "currency"),
    ),
    Entity(
        "oltp",
        "order_lines",
        ("order_id", "line_number"),
        "updated_at",
        _columns(
            order_id=INT,
            line_number=INT,
            sku=TEXT,
            quantity=INT,
            unit_price=UNIT_PRICE,
            discount_amount=AMOUNT,
            tax_amount=AMOUNT,
            updated_at=INSTANT,
        ),
        control_sum="unit_price",
        impersonal=("sku",),
    ),
    Entity(
        "oltp",
        "refunds",
        ("refund_id",),
        "refunded_at",
        _columns(
            refund_id=INT,
            order_id=INT,
            line_number=INT,
            quantity=INT,
            amount=REFUND_AMOUNT,
            reason=TEXT,
            refunded_at=INSTANT,
            updated_at=INSTANT,
        ),
        control_sum="amount",
        personal=("reason",),
    ),
    Entity(
        "oltp",
        "customers",
        ("customer_id",),
        "updated_at",
        _columns(
            customer_id=INT,
            email=TEXT,
            first_name=TEXT,
            last_name=TEXT,
            phone=TEXT,
            city=TEXT,
            region=TEXT,
            country=TEXT,
            postal_code=TEXT,
            loyalty_tier=TEXT,
            marketing_opt_in=FLAG,
            created_at=INSTANT,
            updated_at=INSTANT,
        ),
        cadence="daily",
        personal=("email", "first_name", "last_name", "phone", "city", "region", "postal_code"),
        impersonal=("country", "loyalty_tier"),
    ),
    Entity(
        "oltp",
        "products",
        ("sku",),
        "updated_at",
        _columns(
            sku=TEXT,
            name=TEXT,
            category=TEXT,
            brand=TEXT,
            unit_cost=AMOUNT,
            list_price=AMOUNT,
            is_active=FLAG,
            updated_at=INSTANT,
        ),
        cadence="daily",
        control_sum="list_price",
    ),
    Entity(
        "shopify",
        "orders",
        ("order_id",),
        "processed_at",
        _columns(
            order_id=INT,
            name=TEXT,
            customer_id=INT,
            is_test=FLAG,
            currency=TEXT,
            financial_status=TEXT,
            fulfillment_status=TEXT,
            taxes_included=FLAG,
            source_name=TEXT,
            retail_location_id=INT,
            retail_location_name=TEXT,
            created_at=INSTANT,
            processed_at=INSTANT,
            cancelled_at=INSTANT,
            subtotal_amount=MONEY,
            discount_amount=MONEY,
            tax_amount=MONEY,
            shipping_amount=MONEY,
            total_amount=MONEY,
            placed_total_amount=MONEY,
            current_total_amount=MONEY,
            cash_rounding_amount=MONEY,
            updated_at=INSTANT,
        ),
        control_sum="total_amount",
        impersonal=(
            "name",  # the number that is printed on the order
            "currency",
            "financial_status",
            "fulfillment_status",
            "source_name",
            "retail_location_name",
        ),
    ),
    Entity(  # children carry the version (updated_at) of the order they came with: an edited order replaces them all
        "shopify",
        "order_lines",
        ("order_id", "line_item_id"),
        "order_updated_at",
        _columns(
            order_id=INT,
            order_updated_at=INSTANT,
            line_item_id=INT,
            line_position=INT,
            sku=TEXT,
            title=TEXT,
            quantity=INT,
            current_quantity=INT,
            unit_price=MONEY,
            discount_amount=MONEY,
            tax_amount=MONEY,
        ),
        watermarked=False,
        control_sum="unit_price",
        impersonal=("sku", "title"),
    ),
    Entity(  # one row a refund line; one row without a line for shipping and free amounts
        "shopify",
        "refunds",
        ("refund_id", "refund_line_id"),
        "refunded_at",
        _columns(
            order_id=INT,
            order_updated_at=INSTANT,
            refund_id=INT,
            refund_line_id=INT,
            line_item_id=INT,
            sku=TEXT,
            quantity=INT,
            subtotal_amount=MONEY,
            tax_amount=MONEY,
            shipping_amount=MONEY,
            note=TEXT,
            refunded_at=INSTANT,
        ),
        watermarked=False,
        control_sum="subtotal_amount",
        personal=("note",),
        impersonal=("sku",),
    ),
    Entity(  # the shop's sales ledger: a row a sale of an agreement, amounts signed as Shopify states them
        "shopify",
        "sales",
        ("order_id", "agreement_id", "sale_id"),
        "happened_at",
        _columns(
            order_id=INT,
            order_updated_at=INSTANT,
            agreement_id=INT,
            happened_at=INSTANT,
            reason=TEXT,
            refund_id=INT,
            note=TEXT,
            sale_id=INT,
            action_type=TEXT,
            line_type=TEXT,
            line_item_id=INT,
            sku=TEXT,
            quantity=INT,
            currency=TEXT,
            total_amount=MONEY,
            tax_amount=MONEY,
            discount_before_taxes=MONEY,
            discount_after_taxes=MONEY,
        ),
        watermarked=False,
        control_sum="total_amount",
        personal=("note",),
        impersonal=("reason", "action_type", "line_type", "sku", "currency"),
    ),
    Entity(  # the shop's own figures of a day, in its zone, as it signs them: discounts and reversals are negative
        "shopify",
        "sales_reports",
        ("business_date",),
        "business_date",
        _columns(
            business_date=DATE,
            gross_sales=MONEY,
            discounts=MONEY,
            sales_reversals=MONEY,
            net_sales=MONEY,
            shipping_charges=MONEY,
            return_fees=MONEY,
            taxes=MONEY,
            duties=MONEY,
            additional_fees=MONEY,
            total_sales=MONEY,
        ),
        cadence="daily",
        control_sum="total_sales",
    ),
    Entity(
        "shopify",
        "products",
        ("variant_id",),
        "updated_at",
        _columns(
            variant_id=INT,
            product_id=INT,
            inventory_item_id=INT,
            sku=TEXT,
            title=TEXT,
            variant_title=TEXT,
            vendor=TEXT,
            product_type=TEXT,
            status=TEXT,
            price=MONEY,
            unit_cost=MONEY,
            updated_at=INSTANT,
        ),
        cadence="daily",
        control_sum="price",
    ),
    Entity(
        "shopify",
        "inventory",
        ("inventory_item_id", "location_id"),
        "updated_at",
        _columns(
            inventory_item_id=INT,
            location_id=INT,
            sku=TEXT,
            available=INT,
            on_hand=INT,
            on_order=INT,
            sku_on_hand=INT,  # of all items with this SKU when the level was read; NULL: no other item has it
            sku_on_order=INT,
            updated_at=INSTANT,
        ),
        control_sum="available",
    ),
    Entity(
        "stores",
        "inventory",
        ("store_id", "sku", "counted_at"),
        "counted_at",
        _columns(store_id=INT, sku=TEXT, on_hand=INT, on_order=INT, counted_at=INSTANT),
        from_file=True,
        control_sum="on_hand",
    ),
    Entity(
        "stores",
        "reference",
        ("store_id", "reference_date"),
        "reference_date",
        _columns(
            store_id=INT,
            name=TEXT,
            format=TEXT,
            region=TEXT,
            city=TEXT,
            state=TEXT,
            country=TEXT,
            timezone=TEXT,
            opened_on=DATE,
            closed_on=DATE,
            square_feet=INT,
            manager=TEXT,
            reference_date=DATE,
        ),
        cadence="daily",
        from_file=True,
    ),
    Entity(
        "stores",
        "tills",
        ("store_id", "business_date"),
        "business_date",
        _columns(
            store_id=INT,
            business_date=DATE,
            transactions=INT,
            gross_sales=MONEY,
            discounts=MONEY,
            returns=MONEY,
            net_sales=MONEY,
        ),
        cadence="daily",
        from_file=True,
        control_sum="net_sales",
    ),
)

REJECTS = Entity(
    "stores",
    "rejects",
    ("file_name", "file_hash", "file_line"),
    "rejected_at",
    _columns(
        source=TEXT,
        entity=TEXT,
        is_whole_file=FLAG,  # the file could not be trusted; its original is kept at original_path
        column_name=TEXT,
        rule_id=TEXT,
        reason=TEXT,
        raw_text=TEXT,
        original_path=TEXT,
        rejected_at=INSTANT,
    ),
    from_file=True,
    watermarked=False,
)
REJECTS_TABLE = "rejects"

# What models make of personal columns, by the name that they give it; a test follows every column to its origin.
CARRIED = {"email": ("email_hash",), "reason": ("refund_reason",), "note": ("refund_reason",)}

SOURCES = ("stores", "oltp", "shopify")  # store reference first: the time zones of the sales come from it


def text_limit(column: str) -> int:
    """The longest text that a column of this name may hold, in characters."""
    return TEXT_LIMITS.get(column, TEXT_LIMIT)


def entity(source: str, name: str) -> Entity:
    """The contract of one entity. Raises KeyError for an unknown one."""
    for candidate in ENTITIES:
        if (candidate.source, candidate.name) == (source, name):
            return candidate
    raise KeyError(f"no entity {name!r} in source {source!r}")


def raw_tables() -> dict[str, tuple[pa.Field, ...]]:
    """Every table of the raw schema with its columns, the rejects included."""
    tables = {item.table: item.raw_columns for item in ENTITIES}
    tables[REJECTS_TABLE] = REJECTS.raw_columns
    return tables
