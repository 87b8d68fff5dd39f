MODEL (
  name staging._shopify_refunds,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Returns, refunds, removals, later charges and changes of price of online orders, at their own instants, with the rules they break; one row is one sale of the ledger. Read staging.shopify_refunds or quarantine.shopify_refunds instead.',
  grain (refund_id, refund_line_id),
  tags (sales, shopify),
  signals (
    source_covered(entities := 'shopify.orders')
  )
);

WITH sales AS (
  SELECT
    *,
    COALESCE(line_type = 'PRODUCT' AND action_type <> 'UPDATE', FALSE) AS is_goods
  FROM staging._shopify_sales
  WHERE
    counted_at BETWEEN @start_ts AND @end_ts
    AND event_at <= @end_ts
    AND NOT is_line
    AND NOT is_placed
    AND (
      total_amount <> 0 OR tax_amount <> 0 OR quantity <> 0
    )
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY order_id, agreement_id, sale_id
      ORDER BY source_updated_at DESC NULLS LAST, raw_load_id DESC, event_at
    ) = 1 /* until both its hours are restated, an order that moved stands in two */
), orders AS (
  SELECT
    order_id,
    store_id,
    channel,
    is_counted,
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
    COALESCE(s.refund_id::VARCHAR, 'agreement:' || s.agreement_id::VARCHAR)::VARCHAR AS refund_id, /* an edit or a return without a refund is none */
    s.sale_id AS refund_line_id,
    s.order_id,
    CASE WHEN s.is_goods THEN s.line_item_id END::BIGINT AS line_number,
    o.store_id,
    o.channel,
    o.is_counted, /* refunds of cancelled and test orders count nowhere, as their orders */
    CASE WHEN s.is_goods THEN s.sku END::VARCHAR AS sku,
    CASE WHEN s.is_goods THEN -s.quantity::DECIMAL(38, 0) END::DECIMAL(38, 0) AS quantity,
    CASE WHEN s.line_type IN ('PRODUCT', 'ADJUSTMENT') THEN -s.net_amount ELSE 0 END::DECIMAL(38, 4) AS refund_amount,
    CASE
      WHEN s.line_type = 'ADJUSTMENT' OR (
        s.line_type = 'PRODUCT' AND NOT s.is_goods
      )
      THEN -s.net_amount
      ELSE 0
    END::DECIMAL(38, 4) AS adjustment_amount, /* part of refund_amount that is a price and no goods */
    (
      -s.tax_amount
    )::DECIMAL(38, 4) AS tax_amount,
    CASE WHEN s.line_type = 'SHIPPING' THEN -s.net_amount ELSE 0 END::DECIMAL(38, 4) AS shipping_amount,
    CASE WHEN s.line_type = 'DUTY' THEN -s.net_amount ELSE 0 END::DECIMAL(38, 4) AS duties_amount,
    CASE WHEN s.line_type IN ('FEE', 'ADDITIONAL_FEE') THEN -s.net_amount ELSE 0 END::DECIMAL(38, 4) AS fees_amount,
    CASE WHEN s.line_type = 'TIP' THEN -s.net_amount ELSE 0 END::DECIMAL(38, 4) AS tips_amount,
    CASE WHEN s.line_type = 'GIFT_CARD' THEN -s.net_amount ELSE 0 END::DECIMAL(38, 4) AS gift_cards_amount,
    s.note AS refund_reason,
    CASE WHEN s.happened_at < s.event_at THEN s.event_at ELSE s.happened_at END::TIMESTAMPNTZ AS refunded_at,
    s.source_updated_at,
    s.counted_at AS event_at,
    s._loaded_at,
    s.raw_load_id,
    o.rule_ids AS order_rule_ids
  FROM sales AS s
  LEFT JOIN orders AS o
    ON o.order_id = s.order_id
)
SELECT
  *
  EXCLUDE (order_rule_ids),
  @failed_rules__shopify_refunds()::VARCHAR AS rule_ids
FROM typed
