MODEL (
  name staging._shopify_refunds,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Refund lines of the latest version of every online order with the rules they break, on the day of the refund; refunded shipping is a row without a line. Read staging.shopify_refunds or quarantine.shopify_refunds instead.',
  grain (refund_id, refund_line_id),
  tags (sales, shopify),
  signals (
    source_covered(entities := 'shopify.orders')
  )
);

WITH latest AS (
  SELECT
    order_id,
    updated_at,
    _dlt_load_id
  FROM raw.shopify_orders
  WHERE
    _loaded_at >= DATEADD(DAY, -1, @start_ts)
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY updated_at DESC NULLS LAST, _dlt_load_id DESC) = 1
), refunds AS (
  SELECT
    r.refund_id,
    r.refund_line_id,
    r.order_id,
    r.line_item_id,
    r.sku,
    r.quantity,
    r.subtotal_amount,
    r.tax_amount,
    r.shipping_amount,
    r.note,
    r.refunded_at,
    r.order_updated_at,
    r._loaded_at,
    r._dlt_load_id,
    @event_instant(r.refunded_at, r.order_updated_at, r._loaded_at) AS event_at
  FROM raw.shopify_refunds AS r
  INNER JOIN latest
    ON latest.order_id = r.order_id
    AND latest._dlt_load_id = r._dlt_load_id
    AND latest.updated_at = r.order_updated_at
  WHERE
    r._loaded_at >= DATEADD(DAY, -1, @start_ts)
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY r.refund_id, r.refund_line_id ORDER BY r.line_item_id) = 1
)
SELECT
  'shopify'::VARCHAR AS source_system,
  refund_id::VARCHAR AS refund_id,
  refund_line_id::BIGINT AS refund_line_id,
  order_id::VARCHAR AS order_id,
  line_item_id::BIGINT AS line_number,
  NULLIF(TRIM(sku), '')::VARCHAR AS sku,
  quantity::BIGINT AS quantity,
  COALESCE(subtotal_amount, 0)::DECIMAL(18, 4) AS refund_amount,
  COALESCE(tax_amount, 0)::DECIMAL(18, 4) AS tax_amount,
  COALESCE(shipping_amount, 0)::DECIMAL(18, 4) AS shipping_amount,
  note::VARCHAR AS refund_reason,
  refunded_at::TIMESTAMPNTZ AS refunded_at,
  order_updated_at::TIMESTAMPNTZ AS source_updated_at,
  event_at::TIMESTAMPNTZ AS event_at,
  _loaded_at::TIMESTAMPNTZ AS _loaded_at,
  _dlt_load_id::VARCHAR AS raw_load_id,
  @failed_rules(
    (refund_id_missing, refund_id IS NULL),
    (refunded_at_missing, refunded_at IS NULL),
    (
      refunded_at_in_future,
      refunded_at > DATEADD(DAY, 1, COALESCE(order_updated_at, _loaded_at))
    ),
    (refunded_at_before_history, refunded_at < @VAR('history_start')::TIMESTAMPNTZ),
    (amount_negative, subtotal_amount < 0 OR tax_amount < 0 OR shipping_amount < 0)
  )::VARCHAR AS rule_ids
FROM refunds
WHERE
  event_at BETWEEN @start_ts AND @end_ts
