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
  counted_hour::DATE AS counted_date,
  business_date::DATE AS business_date,
  store_id::INT AS store_id,
  sku::VARCHAR AS sku,
  MAX(counted_at)::TIMESTAMPNTZ AS last_counted_at,
  MAX_BY(on_hand, counted_at)::BIGINT AS last_on_hand,
  COUNT(*)::BIGINT AS counted_hours,
  COUNT(CASE WHEN on_hand <= 0 THEN 1 END)::BIGINT AS stockout_hours
FROM core.fct_inventory__@{source}
WHERE
  counted_hour >= @start_date
  AND counted_hour < DATEADD(DAY, 1, @end_date) /* whole dates, in a form that prunes */
GROUP BY
  counted_hour::DATE,
  business_date,
  store_id,
  sku
