MODEL (
  name certified.fct_inventory,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Stock as counted; one row is the last count of a product in a store within a UTC hour.',
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
FROM certified.fct_inventory__stores
UNION ALL
SELECT
  store_id,
  sku,
  counted_hour,
  business_date,
  on_hand,
  on_order,
  counted_at,
  raw_load_id
FROM certified.fct_inventory__shopify
