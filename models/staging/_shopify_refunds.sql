MODEL (
  name staging._shopify_refunds,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Refund lines of the latest version of every online order, on the day of the refund, with the rules they break. Read staging.shopify_refunds or quarantine.shopify_refunds instead.',
  grain (refund_id, refund_line_id),
  tags (sales, shopify),
  signals (
    source_covered(entities := 'shopify.orders')
  )
);

WITH latest AS (
  SELECT
    order_id,
    is_test,
    cancelled_at,
    updated_at,
    _dlt_load_id
  FROM raw.shopify_orders AS r
  WHERE
    @not_deleted(raw.shopify_orders, r, order_id)
    AND _loaded_at >= DATEADD(DAY, -1, @start_ts)
  QUALIFY
    @is_latest_version(order_id, updated_at, _dlt_load_id)
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
    latest.cancelled_at IS NULL AND NOT COALESCE(latest.is_test, FALSE) AS is_counted,
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
), in_window AS (
  SELECT
    *
  FROM refunds
  WHERE
    event_at BETWEEN @start_ts AND @end_ts
), orders AS (
  SELECT
    order_id,
    rule_ids
  FROM staging._shopify_orders
  WHERE
    order_id IN (
      SELECT
        i.order_id::VARCHAR
      FROM in_window AS i
    )
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY order_id
      ORDER BY source_updated_at DESC NULLS LAST, raw_load_id DESC, event_at
    ) = 1 /* until both its hours are restated, an order that moved stands in two */
), typed AS (
  SELECT
    'shopify'::VARCHAR AS source_system,
    r.refund_id::VARCHAR AS refund_id,
    r.refund_line_id::BIGINT AS refund_line_id,
    r.order_id::VARCHAR AS order_id,
    r.line_item_id::BIGINT AS line_number, /* none for refunded shipping, and for what was paid back for no line */
    0::BIGINT AS store_id, /* of the order, as for the OLTP: the online shop */
    'online'::VARCHAR AS channel,
    r.is_counted::BOOLEAN AS is_counted, /* refunds of cancelled and test orders count nowhere, as their orders */
    NULLIF(TRIM(r.sku), '')::VARCHAR AS sku,
    r.quantity::BIGINT AS quantity,
    COALESCE(r.subtotal_amount, 0)::DECIMAL(18, 4) AS refund_amount,
    COALESCE(r.tax_amount, 0)::DECIMAL(18, 4) AS tax_amount,
    COALESCE(r.shipping_amount, 0)::DECIMAL(18, 4) AS shipping_amount,
    r.note::VARCHAR AS refund_reason,
    r.refunded_at::TIMESTAMPNTZ AS refunded_at,
    r.order_updated_at::TIMESTAMPNTZ AS source_updated_at,
    r.event_at::TIMESTAMPNTZ AS event_at,
    r._loaded_at::TIMESTAMPNTZ AS _loaded_at,
    r._dlt_load_id::VARCHAR AS raw_load_id,
    o.rule_ids AS order_rule_ids
  FROM in_window AS r
  LEFT JOIN orders AS o
    ON o.order_id = r.order_id::VARCHAR
)
SELECT
  *
  EXCLUDE (order_rule_ids),
  @failed_rules__shopify_refunds()::VARCHAR AS rule_ids
FROM typed
