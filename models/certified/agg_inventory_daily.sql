MODEL (
  name certified.agg_inventory_daily,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Closing stock and stock-out hours by business date, store and product.',
  grain (business_date, store_id, sku),
  tags (
    inventory
  )
);

SELECT
  business_date::DATE AS business_date, /* Local date of the store */
  store_id::BIGINT AS store_id, /* Store; 0 is the online location */
  sku::VARCHAR AS sku, /* Product, as in dim_products; NULL for an item without a SKU */
  MAX_BY(last_on_hand, last_counted_at)::BIGINT AS closing_on_hand, /* Pieces on hand at the last count of the business day; unit: pieces */
  MAX(last_counted_at)::TIMESTAMPNTZ AS closing_counted_at, /* Instant of the last count of the day, UTC */
  SUM(counted_hours)::BIGINT AS counted_hours, /* Hours with a count */
  SUM(stockout_hours)::BIGINT AS stockout_hours /* Counted hours with nothing on hand; unit: hours */
FROM (
  SELECT
    business_date,
    store_id,
    sku,
    last_counted_at,
    last_on_hand,
    counted_hours,
    stockout_hours
  FROM certified.agg_inventory_daily__stores
  UNION ALL
  SELECT
    business_date,
    store_id,
    sku,
    last_counted_at,
    last_on_hand,
    counted_hours,
    stockout_hours
  FROM certified.agg_inventory_daily__shopify
) AS parts
GROUP BY
  business_date,
  store_id,
  sku
