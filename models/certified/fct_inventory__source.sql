MODEL (
  name certified.fct_inventory__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column counted_hour
  ),
  blueprints ((
      source := stores
    ), (
      source := shopify
  )),
  depends_on (
    gate.inventory__@{source}
  ),
  clustered_by (business_date, store_id),
  description 'One source of certified.fct_inventory: exactly the windows that the gate has scanned.',
  grain (store_id, sku, counted_hour),
  tags (
    inventory
  )
);

SELECT
  store_id::BIGINT AS store_id, /* Store; 0 is the online location */
  sku::VARCHAR AS sku, /* Product, as in dim_products; NULL for an item without a SKU */
  counted_hour::TIMESTAMPNTZ AS counted_hour, /* UTC hour of the count */
  business_date::DATE AS business_date, /* Local date of the store at the count */
  on_hand::BIGINT AS on_hand, /* Pieces on hand, of all items with this SKU together; below zero when more were sold than counted in */
  on_order::BIGINT AS on_order, /* Pieces ordered and not received; NULL when not stated */
  counted_at::TIMESTAMPNTZ AS counted_at, /* Instant of the count, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM core.fct_inventory__@{source}
WHERE
  counted_hour BETWEEN @start_ts AND @end_ts
