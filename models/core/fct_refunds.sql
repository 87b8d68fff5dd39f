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
  description 'Refunds on the day of the refund, with store and channel of their order. A refund whose order is not known is money that left the company all the same: it stands at store -1, channel unknown. Refunds of cancelled and test orders are left out with their orders. Candidate of certified.fct_refunds.',
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
    refund_rows_are_unique
  )
);

WITH refunds AS (
  SELECT
    r.source_system,
    r.refund_id,
    r.line_number,
    r.order_id,
    r.refunded_at,
    MIN(r.sku) AS sku,
    SUM(r.quantity) AS quantity, /* Shopify splits a refunded item by what becomes of the goods */
    SUM(r.refund_amount) AS refund_amount,
    SUM(r.tax_amount) AS tax_amount,
    SUM(r.shipping_amount) AS shipping_amount,
    MIN(r.refund_reason) AS refund_reason,
    MAX(r.source_updated_at) AS source_updated_at,
    MAX(r.raw_load_id) AS raw_load_id,
    COALESCE(o.store_id, -1) AS store_id,
    COALESCE(o.channel, 'unknown') AS channel
  FROM staging._@{source}_refunds AS r
  LEFT JOIN staging._@{source}_orders AS o
    ON o.order_id = r.order_id AND o.rule_ids IS NULL
  WHERE
    r.rule_ids IS NULL
    AND r.event_at BETWEEN @start_ts AND @end_ts
    AND r.refunded_at BETWEEN @start_ts AND @end_ts
    AND COALESCE(o.is_counted, TRUE)
  GROUP BY
    r.source_system,
    r.refund_id,
    r.line_number,
    r.order_id,
    r.refunded_at,
    COALESCE(o.store_id, -1),
    COALESCE(o.channel, 'unknown')
), placed AS (
  SELECT
    r.*,
    COALESCE(r.sku, l.sku) AS product_sku,
    CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, @VAR('company_timezone')), r.refunded_at) AS refunded_at_local
  FROM refunds AS r
  LEFT JOIN staging._@{source}_order_lines AS l
    ON l.order_id = r.order_id AND l.line_number = r.line_number AND l.rule_ids IS NULL
  LEFT JOIN core.dim_stores AS s
    ON s.store_id = r.store_id
    AND r.refunded_at >= s.valid_from
    AND r.refunded_at < s.valid_to
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
  product_sku::VARCHAR AS sku,
  quantity::BIGINT AS quantity,
  refund_amount::DECIMAL(18, 4) AS refund_amount,
  tax_amount::DECIMAL(18, 4) AS tax_amount,
  shipping_amount::DECIMAL(18, 4) AS shipping_amount,
  refund_reason::VARCHAR AS refund_reason,
  source_updated_at::TIMESTAMPNTZ AS source_updated_at,
  raw_load_id::VARCHAR AS raw_load_id
FROM placed
