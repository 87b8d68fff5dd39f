MODEL (
  name core.agg_inventory_daily__@{source},
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
  description 'Stock by UTC date and business date of the store; the whole UTC date is rebuilt with each of its hours. Candidate of certified.agg_inventory_daily.',
  grain (counted_date, business_date, store_id, sku),
  tags (
    inventory
  ),
  audits (
    unique_combination_of_columns(columns := (counted_date, business_date, store_id, sku))
  )
);

SELECT
  counted_hour::DATE AS counted_date, /* UTC date of this part */
  business_date::DATE AS business_date, /* Local date of the store */
  store_id::INT AS store_id, /* Store; 0 is the online location */
  sku::VARCHAR AS sku, /* Product, as in dim_products */
  MAX(counted_at)::TIMESTAMPNTZ AS last_counted_at, /* Instant of the last count, UTC */
  MAX_BY(on_hand, counted_at)::BIGINT AS last_on_hand, /* Pieces on hand at the last count */
  COUNT(*)::BIGINT AS counted_hours, /* Hours with a count */
  COUNT(CASE WHEN on_hand <= 0 THEN 1 END)::BIGINT AS stockout_hours /* Counted hours with nothing on hand; unit: hours */
FROM core.fct_inventory__@{source}
WHERE
  counted_hour >= @start_date
  AND counted_hour < DATEADD(DAY, 1, @end_date) /* whole dates, in a form that prunes */
GROUP BY
  counted_hour::DATE,
  business_date,
  store_id,
  sku
