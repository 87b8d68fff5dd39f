MODEL (
  name staging._shopify_order_lines,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Goods that online orders were placed with, and in the hour of an edit what it added, with the rules they break; one row is one line. Read staging.shopify_order_lines or quarantine.shopify_order_lines instead.',
  grain (order_id, line_number),
  tags (sales, shopify),
  signals (
    source_covered(entities := 'shopify.orders')
  )
);

WITH sales AS (
  SELECT
    *
  FROM staging._shopify_sales
  WHERE
    counted_at BETWEEN @start_ts AND @end_ts AND event_at <= @end_ts AND is_line
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY order_id, agreement_id, sale_id
      ORDER BY source_updated_at DESC NULLS LAST, raw_load_id DESC, event_at
    ) = 1 /* until both its hours are restated, an order that moved stands in two */
), orders AS (
  SELECT
    order_id,
    rule_ids
  FROM staging._shopify_orders
  WHERE
    event_at <= @end_ts AND order_id IN (
      SELECT
        s.order_id
      FROM sales AS s
    )
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY order_id
      ORDER BY source_updated_at DESC NULLS LAST, raw_load_id DESC, event_at
    ) = 1
), typed AS (
  SELECT
    'shopify'::VARCHAR AS source_system,
    s.order_id,
    s.line_number,
    s.sku,
    s.quantity,
    COALESCE(ROUND(s.gross_amount / NULLIF(s.quantity, 0), 4), 0)::DECIMAL(38, 4) AS unit_price, /* before taxes, also where prices are stated with them */
    s.gross_amount,
    s.discount_amount,
    s.tax_amount,
    s.source_updated_at,
    CASE WHEN NOT s.is_placed THEN s.counted_at END::TIMESTAMPNTZ AS added_at, /* by an edit; NULL for what the order was placed with */
    s.counted_at AS event_at,
    s._loaded_at,
    s.raw_load_id,
    s.is_returned, /* given back on the order itself, as in an exchange */
    o.rule_ids AS order_rule_ids
  FROM sales AS s
  LEFT JOIN orders AS o
    ON o.order_id = s.order_id
)
SELECT
  *
  EXCLUDE (order_rule_ids),
  @failed_rules__shopify_order_lines()::VARCHAR AS rule_ids
FROM typed
