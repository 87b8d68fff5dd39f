MODEL (
  name core.fct_inventory__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column counted_hour
  ),
  blueprints ((
      source := stores
    ), (
      source := shopify
  )),
  description 'Stock as counted; one row is the last count of a product in a store within a UTC hour. Store 0 is the online location. Candidate of certified.fct_inventory.',
  grain (store_id, sku, counted_hour),
  tags (
    inventory
  ),
  audits (
    not_null(columns := (store_id, sku, counted_hour, on_hand, business_date)),
    unique_combination_of_columns(columns := (store_id, sku, counted_hour))
  )
);

WITH counts AS (
  SELECT
    store_id,
    sku,
    counted_at,
    COALESCE(sku_on_hand, on_hand) AS on_hand,
    COALESCE(sku_on_order, on_order) AS on_order,
    raw_load_id
  FROM staging._@{source}_inventory
  WHERE
    rule_ids IS NULL
    AND event_at BETWEEN @start_ts AND @end_ts
    AND counted_at BETWEEN @start_ts AND @end_ts
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY store_id, sku, DATE_TRUNC('HOUR', counted_at)
      ORDER BY counted_at DESC, raw_load_id DESC, file_name DESC NULLS LAST, file_line DESC NULLS LAST
    ) = 1
), local_times AS (
  @local_times(counts, counted_at, core._store_zones)
)
SELECT
  i.store_id::BIGINT AS store_id, /* Store; 0 is the online location */
  i.sku::VARCHAR AS sku, /* Product, as in dim_products; NULL for an item without a SKU */
  DATE_TRUNC('HOUR', i.counted_at)::TIMESTAMPNTZ AS counted_hour, /* UTC hour of the count */
  t.local_at::DATE AS business_date, /* Local date of the store at the count */
  i.on_hand::BIGINT AS on_hand, /* Pieces on hand, of all items with this SKU together; below zero when more were sold than counted in */
  i.on_order::BIGINT AS on_order, /* Pieces ordered and not received; NULL when not stated */
  i.counted_at::TIMESTAMPNTZ AS counted_at, /* Instant of the count, UTC */
  i.raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM counts AS i
LEFT JOIN local_times AS t
  ON t.store_id = i.store_id AND t.minute_at = DATE_TRUNC('MINUTE', i.counted_at)
