MODEL (
  name core.fct_order_lines__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column ordered_at
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  description 'Order lines that count, in the window of their order; cancelled and test orders are left out. Candidate of certified.fct_order_lines.',
  grain (source_system, order_id, line_number),
  tags (
    sales
  ),
  audits (
    not_null(columns := (order_id, line_number, ordered_at, business_date, store_id, sku)),
    unique_combination_of_columns(columns := (order_id, line_number)),
    gross_is_quantity_times_price
  )
);

SELECT
  l.source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  l.order_id::VARCHAR AS order_id, /* The order's number in its source system */
  l.line_number::BIGINT AS line_number, /* Line within the order; the line item id for shopify */
  o.ordered_at::TIMESTAMPNTZ AS ordered_at, /* When the order was placed, UTC */
  CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, @VAR('company_timezone')), o.ordered_at)::DATE AS business_date, /* Local date of the store when the order was placed */
  o.store_id::INT AS store_id, /* Store; 0 is the online shop */
  o.channel::VARCHAR AS channel, /* store, phone or online */
  o.customer_id::VARCHAR AS customer_id, /* Customer, as in dim_customers; NULL for a guest */
  l.sku::VARCHAR AS sku, /* Product, as in dim_products */
  l.quantity::BIGINT AS quantity, /* Pieces sold */
  l.unit_price::DECIMAL(12, 4) AS unit_price, /* Price of one piece before discount */
  (
    l.quantity * l.unit_price
  )::DECIMAL(18, 4) AS gross_sales, /* quantity x unit_price */
  l.discount_amount::DECIMAL(18, 4) AS discount_amount, /* Discount on this line */
  l.tax_amount::DECIMAL(18, 4) AS tax_amount, /* Tax on this line */
  (
    l.quantity * l.unit_price - l.discount_amount
  )::DECIMAL(18, 4) AS net_sales_before_returns, /* Gross sales of a line less its discount; unit: company's currency */
  o.currency::VARCHAR AS currency, /* ISO 4217 code; always the company's */
  o.order_status::VARCHAR AS order_status, /* pending, paid, shipped or completed */
  l.source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  l.raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM staging._@{source}_order_lines AS l
INNER JOIN staging._@{source}_orders AS o
  ON o.order_id = l.order_id
LEFT JOIN core._store_zones AS s
  ON s.store_id = o.store_id
  AND o.ordered_at >= s.valid_from
  AND o.ordered_at < s.valid_to
WHERE
  l.rule_ids IS NULL
  AND o.rule_ids IS NULL
  AND l.event_at BETWEEN @start_ts AND @end_ts
  AND o.event_at BETWEEN @start_ts AND @end_ts
  AND o.ordered_at BETWEEN @start_ts AND @end_ts
  AND o.is_counted
