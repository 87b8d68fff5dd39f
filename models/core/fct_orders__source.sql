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
    has_parent(
      child := core.fct_order_lines__@{source},
      key := order_id,
      instant := sold_at,
      condition := NOT is_added
    ),
    sums_agree(
      measure := gross_sales,
      theirs := gross_sales,
      made_of := core.fct_order_lines__@{source},
      instant := sold_at,
      condition := NOT is_added
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
    sold_at BETWEEN @start_ts AND @end_ts
    AND NOT is_added /* what an edit added counts when it did: the order stays as it was placed */
  GROUP BY
    order_id
), returned AS (
  /* Given back on the order itself, as in an exchange at the till. Its tax stands with that of the order. */
  SELECT
    order_id,
    SUM(COALESCE(ABS(gross_amount), ABS(quantity) * unit_price) - ABS(discount_amount)) AS returned_amount,
    SUM(ABS(tax_amount)) AS tax_amount
  FROM staging._@{source}_order_lines
  WHERE
    event_at BETWEEN @start_ts AND @end_ts AND rule_ids IS NULL AND is_returned
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
    COALESCE(l.line_count, 0) AS line_count, /* of the accepted lines, as units and gross sales */
    COALESCE(l.units, 0) AS units,
    COALESCE(l.gross_sales, 0) AS gross_sales,
    COALESCE(NULLIF(o.discount_amount, 0), l.discount_amount, 0) AS discount_amount, /* of its lines where the order states none */
    COALESCE(r.returned_amount, 0) AS returned_amount,
    COALESCE(NULLIF(o.tax_amount, 0), COALESCE(l.tax_amount, 0) - COALESCE(r.tax_amount, 0)) AS tax_amount,
    COALESCE(o.shipping_amount, 0) AS shipping_amount,
    COALESCE(o.duties_amount, 0) AS duties_amount,
    COALESCE(o.fees_amount, 0) AS fees_amount,
    COALESCE(o.tips_amount, 0) AS tips_amount,
    COALESCE(o.gift_cards_amount, 0) AS gift_cards_amount,
    o.total_amount,
    COALESCE(o.cash_rounding_amount, 0) AS cash_rounding_amount
  FROM staging._@{source}_orders AS o
  LEFT JOIN lines AS l
    ON l.order_id = o.order_id
  LEFT JOIN returned AS r
    ON r.order_id = o.order_id
  WHERE
    o.rule_ids IS NULL
    AND o.event_at BETWEEN @start_ts AND @end_ts
    AND o.ordered_at BETWEEN @start_ts AND @end_ts
    AND o.is_counted
), local_times AS (
  @local_times(orders, ordered_at, core._store_zones)
), placed AS (
  SELECT
    o.*,
    t.local_at AS ordered_at_local
  FROM orders AS o
  LEFT JOIN local_times AS t
    ON t.store_id = o.store_id AND t.minute_at = DATE_TRUNC('MINUTE', o.ordered_at)
)
SELECT
  source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  order_id::VARCHAR AS order_id, /* The order's number in its source system */
  ordered_at::TIMESTAMPNTZ AS ordered_at, /* When the order was placed, UTC */
  ordered_at_local::DATE AS business_date, /* Local date of the store when the order was placed */
  DATE_PART(HOUR, ordered_at_local)::INT AS business_hour, /* Local hour of the store when the order was placed, 0 to 23 */
  store_id::BIGINT AS store_id, /* Store; 0 is the online shop */
  channel::VARCHAR AS channel, /* store, phone, online, or pos for Shopify POS at a location that stands for no store */
  customer_id::VARCHAR AS customer_id, /* Customer, as in dim_customers; NULL for a guest */
  order_status::VARCHAR AS order_status, /* pending, paid, shipped or completed */
  currency::VARCHAR AS currency, /* ISO 4217 code; always the company's */
  line_count::BIGINT AS line_count, /* Lines the order was placed with */
  units::BIGINT AS units, /* Pieces on the lines the order was placed with */
  gross_sales::DECIMAL(18, 4) AS gross_sales, /* Sum of gross_sales over the lines the order was placed with */
  discount_amount::DECIMAL(18, 4) AS discount_amount, /* Discount of the whole order */
  returned_amount::DECIMAL(18, 4) AS returned_amount, /* Value of goods given back on the order itself, as in an exchange at the till; a row of fct_refunds, too */
  tax_amount::DECIMAL(18, 4) AS tax_amount, /* Tax of the whole order, less that of what was given back on it */
  shipping_amount::DECIMAL(18, 4) AS shipping_amount, /* Shipping charged, after discounts on it */
  duties_amount::DECIMAL(18, 4) AS duties_amount, /* Duties charged */
  fees_amount::DECIMAL(18, 4) AS fees_amount, /* Fees charged */
  tips_amount::DECIMAL(18, 4) AS tips_amount, /* Tips given with the order; in no sales figure */
  gift_cards_amount::DECIMAL(18, 4) AS gift_cards_amount, /* Gift cards sold; in no sales figure */
  COALESCE(
    total_amount,
    gross_sales - discount_amount - returned_amount + tax_amount + shipping_amount + duties_amount + fees_amount + tips_amount + gift_cards_amount
  )::DECIMAL(18, 4) AS total_amount, /* What the source says the customer was charged when the order was placed */
  cash_rounding_amount::DECIMAL(18, 4) AS cash_rounding_amount, /* What rounding to coins added to the payment less to what was paid back; not in total_amount */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM placed
