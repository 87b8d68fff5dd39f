-- The same certified tables by hand, written for DuckDB as one would for one source of truth and no surprises: of what a
-- load brought the last version of each key takes the place of what is there, and what is below it is added up again.
-- Nothing is checked, quarantined or kept as evidence. $loaded_from: when the load was.

-- table: fct_orders
(source_system VARCHAR, order_id VARCHAR, ordered_at TIMESTAMP, business_date DATE, business_hour INT, store_id BIGINT,
channel VARCHAR, customer_id VARCHAR, order_status VARCHAR, currency VARCHAR, line_count BIGINT, units BIGINT,
gross_sales DECIMAL(18, 4), discount_amount DECIMAL(18, 4), returned_amount DECIMAL(18, 4), tax_amount DECIMAL(18, 4),
shipping_amount DECIMAL(18, 4), duties_amount DECIMAL(18, 4), fees_amount DECIMAL(18, 4), tips_amount DECIMAL(18, 4),
gift_cards_amount DECIMAL(18, 4), total_amount DECIMAL(18, 4), cash_rounding_amount DECIMAL(18, 4),
source_updated_at TIMESTAMP, raw_load_id VARCHAR)

-- table: fct_order_lines
(source_system VARCHAR, order_id VARCHAR, line_number BIGINT, ordered_at TIMESTAMP, sold_at TIMESTAMP, business_date DATE,
business_hour INT, store_id BIGINT, channel VARCHAR, customer_id VARCHAR, sku VARCHAR, quantity BIGINT,
unit_price DECIMAL(18, 4), gross_sales DECIMAL(18, 4), discount_amount DECIMAL(18, 4), tax_amount DECIMAL(18, 4),
net_sales_before_returns DECIMAL(18, 4), is_added BOOLEAN, currency VARCHAR, order_status VARCHAR,
source_updated_at TIMESTAMP, raw_load_id VARCHAR)

-- table: fct_refunds
(source_system VARCHAR, refund_id VARCHAR, line_number BIGINT, order_id VARCHAR, refunded_at TIMESTAMP, business_date DATE,
business_hour INT, store_id BIGINT, channel VARCHAR, sku VARCHAR, quantity BIGINT, refund_amount DECIMAL(18, 4),
tax_amount DECIMAL(18, 4), shipping_amount DECIMAL(18, 4), refund_reason VARCHAR, source_updated_at TIMESTAMP,
raw_load_id VARCHAR)

-- table: fct_inventory
(store_id BIGINT, sku VARCHAR, counted_hour TIMESTAMP, business_date DATE, on_hand BIGINT, on_order BIGINT,
counted_at TIMESTAMP, raw_load_id VARCHAR)

-- table: dim_customers
(customer_id VARCHAR, valid_from TIMESTAMP, valid_to TIMESTAMP, is_current BOOLEAN, is_inferred BOOLEAN,
email_hash VARCHAR, city VARCHAR, region VARCHAR, country VARCHAR, postal_code VARCHAR, loyalty_tier VARCHAR,
marketing_opt_in BOOLEAN, raw_load_id VARCHAR)

-- table: agg_sales_hourly
(sold_hour TIMESTAMP, business_date DATE, business_hour INT, store_id BIGINT, channel VARCHAR, orders BIGINT, units BIGINT,
gross_sales DECIMAL(38, 4), discounts DECIMAL(38, 4), returns DECIMAL(38, 4), net_sales DECIMAL(38, 4),
taxes DECIMAL(38, 4), shipping DECIMAL(38, 4), total_sales DECIMAL(38, 4))

-- table: agg_inventory_daily
(business_date DATE, store_id BIGINT, sku VARCHAR, closing_on_hand BIGINT, closing_counted_at TIMESTAMP,
counted_hours BIGINT, stockout_hours BIGINT)

-- temporary: zones
SELECT store_id, timezone
FROM raw.stores_reference
QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id ORDER BY reference_date DESC) = 1

-- temporary: new_customers
SELECT *
FROM raw.oltp_customers
WHERE _loaded_at >= $loaded_from
QUALIFY ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY updated_at DESC) = 1

-- run: customers that changed have a new version
UPDATE certified.dim_customers AS d
SET valid_to = c.updated_at, is_current = FALSE
FROM new_customers AS c
WHERE d.customer_id = c.customer_id::VARCHAR AND d.is_current

-- run: the new versions
INSERT INTO certified.dim_customers
SELECT
  customer_id::VARCHAR, updated_at, TIMESTAMP '9999-12-31', TRUE, FALSE, SHA256(LOWER(email)), city, region, country,
  postal_code, loyalty_tier, marketing_opt_in, _dlt_load_id
FROM new_customers

-- temporary: new_orders
SELECT
  'oltp' AS source_system, o.order_id, o.ordered_at,
  o.ordered_at AT TIME ZONE 'UTC' AT TIME ZONE COALESCE(z.timezone, 'America/New_York') AS local_at,
  o.store_id, o.channel, o.customer_id::VARCHAR AS customer_id, o.status AS order_status, o.currency, o.discount_amount,
  o.tax_amount, o.shipping_amount, o.total_amount, 0.00 AS cash_rounding_amount, o.updated_at, o._dlt_load_id
FROM (
  SELECT *
  FROM raw.oltp_orders
  WHERE _loaded_at >= $loaded_from
  QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY updated_at DESC, _dlt_load_id DESC) = 1
) AS o
LEFT JOIN zones AS z ON z.store_id = o.store_id
WHERE o.status <> 'cancelled' AND NOT o.is_test
UNION ALL
SELECT
  'shopify', o.order_id, o.processed_at, o.processed_at AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York', 0, 'online',
  'shopify:' || o.customer_id, 'completed', o.currency, o.discount_amount, o.tax_amount, o.shipping_amount,
  o.placed_total_amount, o.cash_rounding_amount, o.updated_at, o._dlt_load_id
FROM (
  SELECT *
  FROM raw.shopify_orders
  WHERE _loaded_at >= $loaded_from
  QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY updated_at DESC, _dlt_load_id DESC) = 1
) AS o
WHERE o.cancelled_at IS NULL AND NOT o.is_test

-- temporary: new_lines
SELECT 'oltp' AS source_system, order_id, line_number, sku, quantity, unit_price, discount_amount, tax_amount, updated_at,
  _dlt_load_id
FROM raw.oltp_order_lines
WHERE _loaded_at >= $loaded_from
QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id, line_number ORDER BY updated_at DESC, _dlt_load_id DESC) = 1
UNION ALL
SELECT 'shopify', order_id, line_item_id, sku, quantity,
  ROUND((total_amount - tax_amount + discount_before_taxes) / quantity, 4), discount_before_taxes, tax_amount,
  order_updated_at, _dlt_load_id
FROM raw.shopify_sales
WHERE _loaded_at >= $loaded_from AND reason = 'ORDER' AND line_type = 'PRODUCT'
QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id, sale_id ORDER BY order_updated_at DESC, _dlt_load_id DESC) = 1

-- run: lines that came again
DELETE FROM certified.fct_order_lines AS f
USING new_orders AS o
WHERE f.source_system = o.source_system AND f.order_id = o.order_id::VARCHAR

-- run: the lines
INSERT INTO certified.fct_order_lines
SELECT
  o.source_system, o.order_id::VARCHAR, l.line_number, o.ordered_at, o.ordered_at, o.local_at::DATE, HOUR(o.local_at),
  o.store_id, o.channel, o.customer_id, l.sku, l.quantity, l.unit_price, l.quantity * l.unit_price, l.discount_amount,
  l.tax_amount, l.quantity * l.unit_price - l.discount_amount, FALSE, o.currency, o.order_status, l.updated_at,
  l._dlt_load_id
FROM new_lines AS l
JOIN new_orders AS o ON o.source_system = l.source_system AND o.order_id = l.order_id

-- run: orders that came again
DELETE FROM certified.fct_orders AS f
USING new_orders AS o
WHERE f.source_system = o.source_system AND f.order_id = o.order_id::VARCHAR

-- run: the orders
INSERT INTO certified.fct_orders
SELECT
  o.source_system, o.order_id::VARCHAR, o.ordered_at, o.local_at::DATE, HOUR(o.local_at), o.store_id, o.channel,
  o.customer_id, o.order_status, o.currency, l.line_count, l.units, l.gross_sales, o.discount_amount, 0, o.tax_amount,
  o.shipping_amount, 0, 0, 0, 0, o.total_amount, COALESCE(o.cash_rounding_amount, 0), o.updated_at, o._dlt_load_id
FROM new_orders AS o
JOIN (
  SELECT source_system, order_id, COUNT(*) AS line_count, SUM(quantity) AS units,
    SUM(quantity * unit_price) AS gross_sales
  FROM new_lines
  GROUP BY source_system, order_id
) AS l ON l.source_system = o.source_system AND l.order_id = o.order_id

-- run: customers whom only an order names
INSERT INTO certified.dim_customers (customer_id, valid_from, valid_to, is_current, is_inferred)
SELECT DISTINCT o.customer_id, TIMESTAMP '1970-01-01', TIMESTAMP '9999-12-31', TRUE, TRUE
FROM new_orders AS o
LEFT JOIN certified.dim_customers AS d ON d.customer_id = o.customer_id
WHERE d.customer_id IS NULL AND o.customer_id IS NOT NULL

-- temporary: new_refunds
SELECT 'oltp' AS source_system, refund_id, line_number, order_id, refunded_at, quantity, amount, 0.00 AS tax_amount, reason,
  updated_at, _dlt_load_id
FROM raw.oltp_refunds
WHERE _loaded_at >= $loaded_from
QUALIFY ROW_NUMBER() OVER (PARTITION BY refund_id ORDER BY updated_at DESC, _dlt_load_id DESC) = 1
UNION ALL
SELECT 'shopify', refund_id, line_item_id, order_id, happened_at, -quantity, tax_amount - total_amount, -tax_amount, note,
  order_updated_at, _dlt_load_id
FROM raw.shopify_sales
WHERE _loaded_at >= $loaded_from AND action_type = 'RETURN'
QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id, sale_id ORDER BY order_updated_at DESC, _dlt_load_id DESC) = 1

-- run: refunds that came again
DELETE FROM certified.fct_refunds AS f
USING new_refunds AS r
WHERE f.source_system = r.source_system AND f.refund_id = r.refund_id::VARCHAR

-- run: the refunds, with store, channel and product of what they name
INSERT INTO certified.fct_refunds
SELECT
  r.source_system, r.refund_id::VARCHAR, r.line_number, r.order_id::VARCHAR, r.refunded_at,
  (r.refunded_at AT TIME ZONE 'UTC' AT TIME ZONE COALESCE(z.timezone, 'America/New_York'))::DATE,
  HOUR(r.refunded_at AT TIME ZONE 'UTC' AT TIME ZONE COALESCE(z.timezone, 'America/New_York')),
  o.store_id, o.channel, l.sku, r.quantity, r.amount, r.tax_amount, 0, r.reason, r.updated_at, r._dlt_load_id
FROM new_refunds AS r
JOIN certified.fct_orders AS o ON o.source_system = r.source_system AND o.order_id = r.order_id::VARCHAR
LEFT JOIN certified.fct_order_lines AS l
  ON l.source_system = r.source_system AND l.order_id = r.order_id::VARCHAR AND l.line_number = r.line_number
LEFT JOIN zones AS z ON z.store_id = o.store_id

-- temporary: touched_hours
SELECT DISTINCT DATE_TRUNC('hour', ordered_at) AS sold_hour FROM new_orders
UNION
SELECT DISTINCT DATE_TRUNC('hour', refunded_at) FROM new_refunds

-- run: hours that are added up again
DELETE FROM certified.agg_sales_hourly WHERE sold_hour IN (SELECT sold_hour FROM touched_hours)

-- run: sales by hour
INSERT INTO certified.agg_sales_hourly
SELECT
  sold_hour, business_date, business_hour, store_id, channel, SUM(orders), SUM(units), SUM(gross_sales), SUM(discounts),
  SUM(returns), SUM(gross_sales) - SUM(discounts) - SUM(returns), SUM(taxes), SUM(shipping),
  SUM(gross_sales) - SUM(discounts) - SUM(returns) + SUM(taxes) + SUM(shipping)
FROM (
  SELECT DATE_TRUNC('hour', ordered_at) AS sold_hour, business_date, business_hour, store_id, channel, 1 AS orders, units,
    gross_sales, discount_amount AS discounts, 0 AS returns, tax_amount AS taxes, shipping_amount AS shipping
  FROM certified.fct_orders
  UNION ALL
  SELECT DATE_TRUNC('hour', refunded_at), business_date, business_hour, store_id, channel, 0, 0, 0, 0, refund_amount,
    -tax_amount, -shipping_amount
  FROM certified.fct_refunds
) AS movements
WHERE sold_hour IN (SELECT sold_hour FROM touched_hours)
GROUP BY sold_hour, business_date, business_hour, store_id, channel

-- temporary: new_counts
SELECT i.store_id, i.sku, DATE_TRUNC('hour', i.counted_at) AS counted_hour,
  (i.counted_at AT TIME ZONE 'UTC' AT TIME ZONE COALESCE(z.timezone, 'America/New_York'))::DATE AS business_date,
  i.on_hand, i.on_order, i.counted_at, i._dlt_load_id
FROM (
  SELECT store_id, sku, on_hand, on_order, counted_at, _dlt_load_id FROM raw.stores_inventory
  WHERE _loaded_at >= $loaded_from
  UNION ALL
  SELECT 0, sku, on_hand, on_order, updated_at, _dlt_load_id FROM raw.shopify_inventory WHERE _loaded_at >= $loaded_from
) AS i
LEFT JOIN zones AS z ON z.store_id = i.store_id
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY i.store_id, i.sku, DATE_TRUNC('hour', i.counted_at) ORDER BY i.counted_at DESC, i._dlt_load_id DESC
) = 1

-- run: counts that came again
DELETE FROM certified.fct_inventory AS f
USING new_counts AS c
WHERE f.store_id = c.store_id AND f.sku = c.sku AND f.counted_hour = c.counted_hour

-- run: the counts
INSERT INTO certified.fct_inventory SELECT * FROM new_counts

-- temporary: touched_dates
SELECT DISTINCT business_date FROM new_counts

-- run: dates of stock that are added up again
DELETE FROM certified.agg_inventory_daily WHERE business_date IN (SELECT business_date FROM touched_dates)

-- run: stock by day
INSERT INTO certified.agg_inventory_daily
SELECT
  business_date, store_id, sku, MAX_BY(on_hand, counted_at), MAX(counted_at), COUNT(*),
  COUNT(CASE WHEN on_hand <= 0 THEN 1 END)
FROM certified.fct_inventory
WHERE business_date IN (SELECT business_date FROM touched_dates)
GROUP BY business_date, store_id, sku

-- compared: fct_orders
SELECT COUNT(*), SUM(units), SUM(gross_sales), SUM(discount_amount), SUM(tax_amount), SUM(shipping_amount),
  SUM(total_amount), COUNT(DISTINCT business_date), SUM(store_id) FROM certified.fct_orders

-- compared: fct_order_lines
SELECT COUNT(*), SUM(quantity), SUM(gross_sales), SUM(discount_amount), SUM(tax_amount), SUM(net_sales_before_returns),
  SUM(store_id) FROM certified.fct_order_lines

-- compared: fct_refunds
SELECT COUNT(*), SUM(quantity), SUM(refund_amount), SUM(store_id), COUNT(sku) FROM certified.fct_refunds

-- compared: fct_inventory
SELECT COUNT(*), SUM(on_hand), SUM(on_order), COUNT(DISTINCT business_date) FROM certified.fct_inventory

-- compared: agg_sales_hourly
SELECT COUNT(*), SUM(orders), SUM(units), SUM(gross_sales), SUM(discounts), SUM(returns), SUM(net_sales), SUM(taxes),
  SUM(shipping), SUM(total_sales)
FROM (
  SELECT business_date, business_hour, store_id, channel, SUM(orders) AS orders, SUM(units) AS units,
    SUM(gross_sales) AS gross_sales, SUM(discounts) AS discounts, SUM(returns) AS returns, SUM(net_sales) AS net_sales,
    SUM(taxes) AS taxes, SUM(shipping) AS shipping, SUM(total_sales) AS total_sales
  FROM certified.agg_sales_hourly
  GROUP BY business_date, business_hour, store_id, channel
) AS hours

-- compared: agg_inventory_daily
SELECT COUNT(*), SUM(closing_on_hand), SUM(counted_hours), SUM(stockout_hours) FROM certified.agg_inventory_daily

-- compared: dim_customers
SELECT COUNT(*), COUNT(CASE WHEN is_current THEN 1 END), COUNT(CASE WHEN is_inferred THEN 1 END)
FROM certified.dim_customers
