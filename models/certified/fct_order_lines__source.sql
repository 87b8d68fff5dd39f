MODEL (
  name certified.fct_order_lines__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column sold_at
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  depends_on (
    gate.sales__@{source}
  ),
  clustered_by (business_date, store_id),
  description 'One source of certified.fct_order_lines: exactly the windows that the gate has scanned.',
  grain (source_system, order_id, line_number),
  tags (
    sales
  )
);

SELECT
  source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  order_id::VARCHAR AS order_id, /* The order's number in its source system */
  line_number::BIGINT AS line_number, /* Line within the order; for shopify the line item id, or the number of the sale where an edit added to it */
  ordered_at::TIMESTAMPNTZ AS ordered_at, /* When the order was placed, UTC */
  sold_at::TIMESTAMPNTZ AS sold_at, /* When the line was sold, UTC; that of the order, or of the edit that added it */
  business_date::DATE AS business_date, /* Local date of the store when the line was sold */
  business_hour::INT AS business_hour, /* Local hour of the store when the line was sold, 0 to 23 */
  store_id::BIGINT AS store_id, /* Store; 0 is the online shop */
  channel::VARCHAR AS channel, /* store, phone, online, or pos for Shopify POS at a location that stands for no store */
  customer_id::VARCHAR AS customer_id, /* Customer, as in dim_customers; NULL for a guest */
  sku::VARCHAR AS sku, /* Product, as in dim_products; NULL for an item without a SKU */
  quantity::BIGINT AS quantity, /* Pieces sold */
  unit_price::DECIMAL(18, 4) AS unit_price, /* Price of one piece before discount and taxes; for shopify gross_sales divided by quantity */
  gross_sales::DECIMAL(18, 4) AS gross_sales, /* quantity x unit_price, before taxes */
  discount_amount::DECIMAL(18, 4) AS discount_amount, /* Discount on this line */
  tax_amount::DECIMAL(18, 4) AS tax_amount, /* Tax on this line */
  net_sales_before_returns::DECIMAL(18, 4) AS net_sales_before_returns, /* Gross sales of a line less its discount; unit: company's currency */
  is_added::BOOLEAN AS is_added, /* Whether an edit added it after the order was placed; fct_orders does not hold it then */
  currency::VARCHAR AS currency, /* ISO 4217 code; always the company's */
  order_status::VARCHAR AS order_status, /* pending, paid, shipped or completed */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM core.fct_order_lines__@{source}
WHERE
  sold_at BETWEEN @start_ts AND @end_ts
