MODEL (
  name staging._shopify_order_lines,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Line items of the latest version of every online order with the rules they break: an edited order replaces all its lines. Read staging.shopify_order_lines or quarantine.shopify_order_lines instead.',
  grain (order_id, line_number),
  tags (sales, shopify),
  signals (
    source_covered(entities := 'shopify.orders')
  )
);

WITH typed AS (
  SELECT
    'shopify'::VARCHAR AS source_system,
    l.order_id::VARCHAR AS order_id,
    l.line_item_id::BIGINT AS line_number,
    NULLIF(TRIM(l.sku), '')::VARCHAR AS sku,
    l.quantity::BIGINT AS quantity,
    l.unit_price::DECIMAL(18, 4) AS unit_price,
    COALESCE(l.discount_amount, 0)::DECIMAL(18, 4) AS discount_amount,
    COALESCE(l.tax_amount, 0)::DECIMAL(18, 4) AS tax_amount,
    l.order_updated_at::TIMESTAMPNTZ AS source_updated_at,
    o.event_at::TIMESTAMPNTZ AS event_at,
    l._loaded_at::TIMESTAMPNTZ AS _loaded_at,
    l._dlt_load_id::VARCHAR AS raw_load_id,
    o.rule_ids AS order_rule_ids
  FROM raw.shopify_order_lines AS l
  INNER JOIN staging._shopify_orders AS o
    ON o.order_id = l.order_id::VARCHAR
    AND o.raw_load_id = l._dlt_load_id
    AND o.source_updated_at = l.order_updated_at
  WHERE
    o.event_at BETWEEN @start_ts AND @end_ts
    AND l._loaded_at >= DATEADD(DAY, -1, @start_ts)
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY l.order_id, l.line_item_id ORDER BY l.line_position) = 1
)
SELECT
  *
  EXCLUDE (order_rule_ids),
  FALSE::BOOLEAN AS is_returned, /* Shopify states what is given back as refunds */
  @failed_rules__shopify_order_lines()::VARCHAR AS rule_ids
FROM typed
