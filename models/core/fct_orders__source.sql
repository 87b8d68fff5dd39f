MODEL (
  name core.fct_orders__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column ordered_at
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  description 'Orders that count: neither cancelled nor test. Candidate of certified.fct_orders.',
  grain (source_system, order_id),
  tags (
    sales
  ),
  audits (
    not_null(
      columns := (order_id, ordered_at, business_date, business_hour, store_id, channel)
    ),
    unique_values(columns := (
      order_id
    )),
    has_parent(child := core.fct_order_lines__@{source}, key := order_id, instant := ordered_at),
    sums_agree(
      measure := gross_sales,
      theirs := gross_sales,
      made_of := core.fct_order_lines__@{source},
      instant := ordered_at
    )
  )
);

WITH lines AS (
  SELECT
    order_id,
    COUNT(*) AS line_count,
    SUM(quantity) AS units,
    SUM(gross_sales) AS gross_sales,
    SUM(discount_amount) AS discount_amount,
    SUM(tax_amount) AS tax_amount
  FROM core.fct_order_lines__@{source}
  WHERE
    ordered_at BETWEEN @start_ts AND @end_ts
  GROUP BY
    order_id
), orders AS (
  SELECT
    o.source_system,
    o.order_id,
    o.ordered_at,
    o.store_id,
    o.channel,
    o.customer_id,
    o.order_status,
    o.currency,
    o.source_updated_at,
    o.raw_load_id,
    CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, @VAR('company_timezone')), o.ordered_at) AS ordered_at_local,
    COALESCE(l.line_count, 0) AS line_count, /* of the accepted lines, as units and gross sales */
    COALESCE(l.units, 0) AS units,
    COALESCE(l.gross_sales, 0) AS gross_sales,
    COALESCE(NULLIF(o.discount_amount, 0), l.discount_amount, 0) AS discount_amount, /* of its lines where the order states none */
    COALESCE(NULLIF(o.tax_amount, 0), l.tax_amount, 0) AS tax_amount,
    COALESCE(o.shipping_amount, 0) AS shipping_amount,
    o.total_amount
  FROM staging._@{source}_orders AS o
  LEFT JOIN lines AS l
    ON l.order_id = o.order_id
  LEFT JOIN core._store_zones AS s
    ON s.store_id = o.store_id
    AND o.ordered_at >= s.valid_from
    AND o.ordered_at < s.valid_to
  WHERE
    o.rule_ids IS NULL
    AND o.event_at BETWEEN @start_ts AND @end_ts
    AND o.ordered_at BETWEEN @start_ts AND @end_ts
    AND o.is_counted
)
SELECT
  source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  order_id::VARCHAR AS order_id, /* The order's number in its source system */
  ordered_at::TIMESTAMPNTZ AS ordered_at, /* When the order was placed, UTC */
  ordered_at_local::DATE AS business_date, /* Local date of the store when the order was placed */
  DATE_PART(HOUR, ordered_at_local)::INT AS business_hour, /* Local hour of the store when the order was placed, 0 to 23 */
  store_id::INT AS store_id, /* Store; 0 is the online shop */
  channel::VARCHAR AS channel, /* store, phone or online */
  customer_id::VARCHAR AS customer_id, /* Customer, as in dim_customers; NULL for a guest */
  order_status::VARCHAR AS order_status, /* pending, paid, shipped or completed */
  currency::VARCHAR AS currency, /* ISO 4217 code; always the company's */
  line_count::BIGINT AS line_count, /* Accepted lines */
  units::BIGINT AS units, /* Pieces on the accepted lines */
  gross_sales::DECIMAL(18, 4) AS gross_sales, /* Sum of quantity x unit_price over the accepted lines */
  discount_amount::DECIMAL(18, 4) AS discount_amount, /* Discount of the whole order */
  tax_amount::DECIMAL(18, 4) AS tax_amount, /* Tax of the whole order */
  shipping_amount::DECIMAL(18, 4) AS shipping_amount, /* Shipping charged */
  COALESCE(total_amount, gross_sales - discount_amount + tax_amount + shipping_amount)::DECIMAL(18, 4) AS total_amount, /* What the source says the customer owes */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM orders
