MODEL (
  name staging._oltp_order_headers,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Latest version of every store and phone order with the rules that it breaks whatever its lines are; one row is one order.',
  grain order_id,
  tags (sales, oltp),
  signals (
    source_covered(entities := 'oltp.orders')
  )
);

WITH loaded AS (
  SELECT
    r.order_id,
    r.customer_id,
    r.store_id,
    r.channel,
    r.status,
    r.is_test,
    r.currency,
    r.ordered_at,
    r.discount_amount,
    r.tax_amount,
    r.shipping_amount,
    r.total_amount,
    r.updated_at,
    r._loaded_at,
    r._dlt_load_id,
    @event_instant(r.ordered_at, r.updated_at, r._loaded_at) AS event_at
  FROM raw.oltp_orders AS r
  LEFT JOIN raw.oltp_orders AS d
    ON @ended_by(d, r, order_id) AND d._loaded_at >= DATEADD(DAY, -1, @start_ts)
  WHERE
    r._loaded_at >= DATEADD(DAY, -1, @start_ts) /* an order is loaded after it was placed: older loads hold nothing of this window */
    AND d._dlt_load_id IS NULL
), versions AS (
  /* Read several times, a version is one: of the load that brought it first, whichever loads came after. */
  SELECT
    order_id,
    customer_id,
    store_id,
    channel,
    status,
    is_test,
    currency,
    ordered_at,
    discount_amount,
    tax_amount,
    shipping_amount,
    total_amount,
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
    store_id,
    channel,
    status,
    is_test,
    currency,
    ordered_at,
    discount_amount,
    tax_amount,
    shipping_amount,
    total_amount,
    updated_at,
    event_at
), latest AS (
  SELECT
    *
  FROM versions
  QUALIFY
    @is_latest_version(
      order_id,
      updated_at,
      _dlt_load_id,
      (total_amount, status),
      (
        customer_id,
        store_id,
        channel,
        status,
        is_test,
        currency,
        ordered_at,
        discount_amount,
        tax_amount,
        shipping_amount,
        total_amount,
        updated_at
      )
    )
), typed AS (
  SELECT
    'oltp'::VARCHAR AS source_system,
    order_id::VARCHAR AS order_id,
    customer_id::VARCHAR AS customer_id,
    store_id::BIGINT AS store_id,
    LOWER(TRIM(channel))::VARCHAR AS channel,
    LOWER(TRIM(status))::VARCHAR AS order_status,
    @oltp_order_counts(status, is_test)::BOOLEAN AS is_counted, /* cancelled and test orders count nowhere */
    UPPER(TRIM(currency))::VARCHAR AS currency,
    ordered_at::TIMESTAMPNTZ AS ordered_at,
    discount_amount::DECIMAL(18, 4) AS discount_amount,
    tax_amount::DECIMAL(18, 4) AS tax_amount,
    shipping_amount::DECIMAL(18, 4) AS shipping_amount,
    0::DECIMAL(18, 4) AS duties_amount, /* this and the following: only the online shop knows them */
    0::DECIMAL(18, 4) AS fees_amount,
    0::DECIMAL(18, 4) AS tips_amount,
    0::DECIMAL(18, 4) AS gift_cards_amount,
    total_amount::DECIMAL(18, 4) AS total_amount,
    0::DECIMAL(18, 4) AS cash_rounding_amount,
    @believed(updated_at, first_loaded_at)::TIMESTAMPNTZ AS source_updated_at,
    event_at::TIMESTAMPNTZ AS event_at,
    first_loaded_at::TIMESTAMPNTZ AS _loaded_at,
    first_load_id::VARCHAR AS raw_load_id
  FROM latest
  WHERE
    event_at BETWEEN @start_ts AND @end_ts
)
SELECT
  *,
  @failed_rules__oltp_orders()::VARCHAR AS rule_ids
FROM typed
