MODEL (
  name staging._shopify_orders,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Latest version of every online order with the rules it breaks, in the columns of staging._oltp_orders. Read staging.shopify_orders or quarantine.shopify_orders instead.',
  grain order_id,
  tags (sales, shopify),
  signals (
    source_covered(entities := 'shopify.orders')
  )
);

WITH latest AS (
  SELECT
    order_id,
    customer_id,
    is_test,
    currency,
    financial_status,
    fulfillment_status,
    cancelled_at,
    discount_amount,
    tax_amount,
    shipping_amount,
    total_amount,
    updated_at,
    _loaded_at,
    _dlt_load_id,
    COALESCE(processed_at, created_at) AS ordered_at,
    @event_instant(COALESCE(processed_at, created_at), updated_at, _loaded_at) AS event_at
  FROM raw.shopify_orders AS r
  WHERE
    @not_deleted(raw.shopify_orders, r, order_id)
    AND _loaded_at >= DATEADD(DAY, -1, @start_ts)
  QUALIFY
    @is_latest_version(order_id, updated_at, _dlt_load_id)
), typed AS (
  SELECT
    'shopify'::VARCHAR AS source_system,
    order_id::VARCHAR AS order_id,
    (
      'shopify:' || customer_id::VARCHAR
    )::VARCHAR AS customer_id, /* Shopify numbers its customers independently of the OLTP */
    0::BIGINT AS store_id,
    'online'::VARCHAR AS channel,
    CASE
      WHEN NOT cancelled_at IS NULL
      THEN 'cancelled'
      WHEN fulfillment_status = 'FULFILLED'
      THEN 'completed'
      WHEN fulfillment_status IN ('PARTIALLY_FULFILLED', 'IN_PROGRESS')
      THEN 'shipped'
      WHEN financial_status IN ('PAID', 'PARTIALLY_PAID', 'PARTIALLY_REFUNDED', 'REFUNDED')
      THEN 'paid'
      ELSE 'pending'
    END::VARCHAR AS order_status,
    (
      cancelled_at IS NULL AND NOT COALESCE(is_test, FALSE)
    )::BOOLEAN AS is_counted, /* cancelled and test orders count nowhere */
    UPPER(TRIM(currency))::VARCHAR AS currency,
    ordered_at::TIMESTAMPNTZ AS ordered_at,
    discount_amount::DECIMAL(18, 4) AS discount_amount,
    tax_amount::DECIMAL(18, 4) AS tax_amount,
    shipping_amount::DECIMAL(18, 4) AS shipping_amount,
    total_amount::DECIMAL(18, 4) AS total_amount,
    updated_at::TIMESTAMPNTZ AS source_updated_at,
    event_at::TIMESTAMPNTZ AS event_at,
    _loaded_at::TIMESTAMPNTZ AS _loaded_at,
    _dlt_load_id::VARCHAR AS raw_load_id
  FROM latest
  WHERE
    event_at BETWEEN @start_ts AND @end_ts
)
SELECT
  *,
  @failed_rules__shopify_orders()::VARCHAR AS rule_ids
FROM typed
