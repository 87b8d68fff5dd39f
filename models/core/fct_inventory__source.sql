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

SELECT
  i.store_id::BIGINT AS store_id, /* Store; 0 is the online location */
  i.sku::VARCHAR AS sku, /* Product, as in dim_products; NULL for an item without a SKU */
  DATE_TRUNC('HOUR', i.counted_at)::TIMESTAMPNTZ AS counted_hour, /* UTC hour of the count */
  CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, @VAR('company_timezone')), i.counted_at)::DATE AS business_date, /* Local date of the store at the count */
  COALESCE(i.sku_on_hand, i.on_hand)::BIGINT AS on_hand, /* Pieces on hand, of all items with this SKU together; below zero when more were sold than counted in */
  COALESCE(i.sku_on_order, i.on_order)::BIGINT AS on_order, /* Pieces ordered and not received; NULL when not stated */
  i.counted_at::TIMESTAMPNTZ AS counted_at, /* Instant of the count, UTC */
  i.raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM staging._@{source}_inventory AS i
LEFT JOIN core._store_zones AS s
  ON s.store_id = i.store_id
  AND i.counted_at >= s.valid_from
  AND i.counted_at < s.valid_to
WHERE
  i.rule_ids IS NULL
  AND i.event_at BETWEEN @start_ts AND @end_ts
  AND i.counted_at BETWEEN @start_ts AND @end_ts
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY i.store_id, i.sku, DATE_TRUNC('HOUR', i.counted_at)
    ORDER BY i.counted_at DESC, i.raw_load_id DESC, i.file_name DESC NULLS LAST, i.file_line DESC NULLS LAST
  ) = 1
