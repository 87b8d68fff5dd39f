MODEL (
  name certified.agg_inventory_daily__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column counted_date
  ),
  cron '@hourly',
  interval_unit 'hour',
  blueprints ((
      source := stores
    ), (
      source := shopify
  )),
  depends_on (
    gate.inventory__@{source}
  ),
  clustered_by (business_date, store_id),
  description 'Parts of certified.agg_inventory_daily by UTC date and source.',
  grain (counted_date, business_date, store_id, sku),
  tags (
    inventory
  )
);

@MARKS_WINDOW(agg_inventory_daily__@{source});

SELECT
  counted_date::DATE AS counted_date, /* UTC date of this part */
  business_date::DATE AS business_date, /* Local date of the store */
  store_id::BIGINT AS store_id, /* Store; 0 is the online location */
  sku::VARCHAR AS sku, /* Product, as in dim_products; NULL for an item without a SKU */
  last_counted_at::TIMESTAMPNTZ AS last_counted_at, /* Instant of the last count, UTC */
  last_on_hand::BIGINT AS last_on_hand, /* Pieces on hand at the last count */
  counted_hours::BIGINT AS counted_hours, /* Hours with a count */
  stockout_hours::BIGINT AS stockout_hours /* Counted hours with nothing on hand; unit: hours */
FROM core.agg_inventory_daily__@{source}
WHERE
  counted_date BETWEEN @start_date AND @end_date
