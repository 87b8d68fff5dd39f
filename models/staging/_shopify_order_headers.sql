MODEL (
  name staging._shopify_order_headers,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Latest version of every online order as its header states it, before its sales are looked at; one row is one order.',
  grain order_id,
  tags (sales, shopify),
  signals (
    source_covered(entities := 'shopify.orders')
  )
);

WITH loaded AS (
  SELECT
    r.order_id,
    r.customer_id,
    r.is_test,
    r.currency,
    r.financial_status,
    r.fulfillment_status,
    r.cancelled_at,
    r.source_name,
    r.retail_location_id,
    r.total_amount,
    r.placed_total_amount,
    r.cash_rounding_amount,
    r.processed_at,
    r.created_at,
    r.updated_at,
    r._loaded_at,
    r._dlt_load_id,
    @event_instant(COALESCE(r.processed_at, r.created_at), r.updated_at, r._loaded_at) AS event_at
  FROM raw.shopify_orders AS r
  LEFT JOIN raw.shopify_orders AS d
    ON @ended_by(d, r, order_id) AND d._loaded_at >= DATEADD(DAY, -1, @start_ts)
  WHERE
    r._loaded_at >= DATEADD(DAY, -1, @start_ts) AND d._dlt_load_id IS NULL
), versions AS (
  /* Read several times, a version is one: of the load that brought it first, whichever loads came after. */
  SELECT
    order_id,
    customer_id,
    is_test,
    currency,
    financial_status,
    fulfillment_status,
    cancelled_at,
    source_name,
    retail_location_id,
    total_amount,
    placed_total_amount,
    cash_rounding_amount,
    processed_at,
    created_at,
    updated_at,
    event_at,
    MIN(_loaded_at) AS first_loaded_at,
    MIN(_dlt_load_id) AS first_load_id,
    MAX(_loaded_at) AS _loaded_at,
    MAX(_dlt_load_id) AS _dlt_load_id
  FROM loaded
  GROUP BY
    order_id,
    customer_id,
    is_test,
    currency,
    financial_status,
    fulfillment_status,
    cancelled_at,
    source_name,
    retail_location_id,
    total_amount,
    placed_total_amount,
    cash_rounding_amount,
    processed_at,
    created_at,
    updated_at,
    event_at
), latest AS (
  SELECT
    *
  FROM versions
  QUALIFY
    @is_latest_version(order_id, updated_at, _dlt_load_id)
)
SELECT
  'shopify'::VARCHAR AS source_system,
  order_id::VARCHAR AS order_id,
  (
    'shopify:' || customer_id::VARCHAR
  )::VARCHAR AS customer_id, /* Shopify numbers its customers independently of the OLTP */
  @pos_store(source_name, retail_location_id)::BIGINT AS store_id, /* 0 unless it was rung up at a location that stands for a store */
  CASE
    WHEN @pos_store(source_name, retail_location_id) <> 0
    THEN 'store'
    WHEN LOWER(TRIM(source_name)) = 'pos'
    THEN 'pos'
    ELSE 'online'
  END::VARCHAR AS channel,
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
  COALESCE(processed_at, created_at)::TIMESTAMPNTZ AS ordered_at,
  COALESCE(placed_total_amount, total_amount)::DECIMAL(18, 4) AS total_amount, /* as the order was placed, before edits and refunds */
  COALESCE(cash_rounding_amount, 0)::DECIMAL(18, 4) AS cash_rounding_amount,
  updated_at::TIMESTAMPNTZ AS source_updated_at,
  event_at::TIMESTAMPNTZ AS event_at,
  first_loaded_at::TIMESTAMPNTZ AS _loaded_at,
  first_load_id::VARCHAR AS raw_load_id,
  _dlt_load_id::VARCHAR AS ledger_load_id /* the load whose sales are this version's: the last that read it */
FROM latest
WHERE
  event_at BETWEEN @start_ts AND @end_ts
