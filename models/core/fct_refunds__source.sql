MODEL (
  name core.fct_refunds__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column refunded_at
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  description 'Refunds that count, on the day of the refund, with store and channel of their order; -1 and unknown where the order is not known. Candidate of certified.fct_refunds.',
  grain (source_system, refund_id, line_number),
  tags (
    sales
  ),
  audits (
    not_null(
      columns := (
        refund_id,
        refunded_at,
        business_date,
        business_hour,
        store_id,
        channel,
        refund_amount
      )
    ),
    refund_rows_are_unique,
    forall(
      criteria := (refund_amount >= 0, (
          store_id = -1
        ) = (
          channel = 'unknown'
      ))
    )
  )
);

WITH refunds AS (
  SELECT
    source_system,
    refund_id,
    line_number,
    order_id,
    refunded_at,
    COALESCE(store_id, -1) AS store_id, /* the order is not known: money that left the company all the same */
    COALESCE(channel, 'unknown') AS channel,
    MIN(sku) AS sku,
    SUM(quantity) AS quantity, /* Shopify splits a refunded item by what becomes of the goods */
    SUM(refund_amount) AS refund_amount,
    SUM(tax_amount) AS tax_amount,
    SUM(shipping_amount) AS shipping_amount,
    MIN(refund_reason) AS refund_reason,
    MAX(source_updated_at) AS source_updated_at,
    MAX(raw_load_id) AS raw_load_id
  FROM staging._@{source}_refunds
  WHERE
    rule_ids IS NULL
    AND is_counted
    AND event_at BETWEEN @start_ts AND @end_ts
    AND refunded_at BETWEEN @start_ts AND @end_ts
  GROUP BY
    source_system,
    refund_id,
    line_number,
    order_id,
    refunded_at,
    COALESCE(store_id, -1),
    COALESCE(channel, 'unknown')
), placed AS (
  SELECT
    r.*,
    CONVERT_TIMEZONE('UTC', COALESCE(z.timezone, @VAR('company_timezone')), r.refunded_at) AS refunded_at_local
  FROM refunds AS r
  LEFT JOIN core._store_zones AS z
    ON z.store_id = r.store_id
    AND r.refunded_at >= z.valid_from
    AND r.refunded_at < z.valid_to
)
SELECT
  source_system::VARCHAR AS source_system,
  refund_id::VARCHAR AS refund_id,
  line_number::BIGINT AS line_number,
  order_id::VARCHAR AS order_id,
  refunded_at::TIMESTAMPNTZ AS refunded_at,
  refunded_at_local::DATE AS business_date,
  DATE_PART(HOUR, refunded_at_local)::INT AS business_hour,
  store_id::INT AS store_id,
  channel::VARCHAR AS channel,
  sku::VARCHAR AS sku,
  quantity::BIGINT AS quantity,
  refund_amount::DECIMAL(18, 4) AS refund_amount,
  tax_amount::DECIMAL(18, 4) AS tax_amount,
  shipping_amount::DECIMAL(18, 4) AS shipping_amount,
  refund_reason::VARCHAR AS refund_reason,
  source_updated_at::TIMESTAMPNTZ AS source_updated_at,
  raw_load_id::VARCHAR AS raw_load_id
FROM placed
