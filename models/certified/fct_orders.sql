MODEL (
  name certified.fct_orders,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Orders that count (neither cancelled nor test); one row is one order in its latest version.',
  grain (source_system, order_id),
  tags (
    sales
  )
);

SELECT
  source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  order_id::VARCHAR AS order_id, /* The order's number in its source system */
  ordered_at::TIMESTAMPNTZ AS ordered_at, /* When the order was placed, UTC */
  business_date::DATE AS business_date, /* Local date of the store when the order was placed */
  business_hour::INT AS business_hour, /* Local hour of the store when the order was placed, 0 to 23 */
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
  total_amount::DECIMAL(18, 4) AS total_amount, /* What the source says the customer was charged when the order was placed */
  cash_rounding_amount::DECIMAL(18, 4) AS cash_rounding_amount, /* What rounding to coins added to the payment less to what was paid back; not in total_amount */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM certified.fct_orders__oltp
UNION ALL
SELECT
  source_system,
  order_id,
  ordered_at,
  business_date,
  business_hour,
  store_id,
  channel,
  customer_id,
  order_status,
  currency,
  line_count,
  units,
  gross_sales,
  discount_amount,
  returned_amount,
  tax_amount,
  shipping_amount,
  duties_amount,
  fees_amount,
  tips_amount,
  gift_cards_amount,
  total_amount,
  cash_rounding_amount,
  source_updated_at,
  raw_load_id
FROM certified.fct_orders__shopify
