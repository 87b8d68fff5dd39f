-- Rows of raw as hourly loads would have left them there (bench/raw_rows.py), written for DuckDB: everything follows from
-- the number n of an order and the number l of its line. Each section is a statement, each $name a value of the span.

-- macro: price
(n, l) AS (99 + (n * 17 + l * 31) % 20000) * 0.01

-- macro: pieces
(n, l) AS 1 + (n + l) % 5

-- macro: discount
(n, l) AS (n + l) % 3 * 0.05

-- macro: tax
(n, l) AS n * l % 499 * 0.01

-- macro: shipping
(n) AS CASE WHEN n % 20 = 0 THEN 4.95 ELSE 0.00 END

-- macro: counts
(n) AS n % 50 <> 7 AND n % 997 <> 3 -- neither cancelled nor a test

-- macro: on_hand
(hour, store, item) AS 1 + (hour + store * 7 + item * 13) % 97

-- macro: refunded
-- The order that a refund names: one of the last two weeks, or of the first days what there is.
(n, first_of_all, reach) AS n - CASE WHEN n > first_of_all THEN n * 7919 % LEAST(n - first_of_all, reach) ELSE 0 END

-- temporary: placed
SELECT
  $first + h * $orders + i AS n,
  $start + to_hours(h) + to_microseconds(i * 3600000000 // $orders) AS placed_at,
  $start + to_hours(h) + INTERVAL 65 MINUTE AS loaded_at
FROM (SELECT UNNEST(RANGE($hours)) AS h) AS hours, (SELECT UNNEST(RANGE($orders)) AS i) AS numbers

-- temporary: lines
SELECT n, l, placed_at, loaded_at, price(n, l) AS price, pieces(n, l) AS quantity, discount(n, l) AS discount, tax(n, l) AS tax
FROM placed, (SELECT UNNEST([1, 2, 3]) AS l) AS three
WHERE l <= 1 + n % 3

-- insert: oltp_order_lines
SELECT
  n AS order_id, l AS line_number, 'SKU-' || (n * 3 + l * 7919) % $products AS sku, quantity, price AS unit_price,
  discount AS discount_amount, tax AS tax_amount, placed_at AS updated_at, loaded_at
FROM lines
ORDER BY n, l

-- insert: oltp_orders
SELECT
  n AS order_id,
  CASE WHEN n % 9 > 0 THEN 1 + n * 7919 % $customers END AS customer_id,
  1 + n * 31 % $stores AS store_id,
  CASE WHEN n % 20 = 0 THEN 'phone' ELSE 'store' END AS channel,
  CASE WHEN n % 50 = 7 THEN 'cancelled' ELSE 'completed' END AS status,
  n % 997 = 3 AS is_test,
  'USD' AS currency,
  placed_at AS ordered_at,
  SUM(discount) AS discount_amount,
  SUM(tax) AS tax_amount,
  shipping(n) AS shipping_amount,
  SUM(quantity * price) - SUM(discount) + SUM(tax) + shipping(n) AS total_amount,
  placed_at AS updated_at,
  loaded_at
FROM lines
GROUP BY n, placed_at, loaded_at
ORDER BY n

-- insert: oltp_refunds
SELECT
  n AS refund_id, refunded(n, $first_of_all, $reach) AS order_id, 1 AS line_number, 1 AS quantity,
  price(refunded(n, $first_of_all, $reach), 1) AS amount, 'damaged' AS reason, placed_at AS refunded_at, placed_at AS updated_at, loaded_at
FROM placed
WHERE n % 12 = 0
ORDER BY n

-- temporary: placed_online
SELECT
  $first_online + h * $online + i AS n,
  $start + to_hours(h) + to_microseconds(i * 3600000000 // $online) AS placed_at,
  $start + to_hours(h) + INTERVAL 65 MINUTE AS loaded_at
FROM (SELECT UNNEST(RANGE($hours)) AS h) AS hours, (SELECT UNNEST(RANGE($online)) AS i) AS numbers

-- temporary: lines_online
SELECT n, l, placed_at, loaded_at, price(n, l) AS price, pieces(n, l) AS quantity, discount(n, l) AS discount, tax(n, l) AS tax
FROM placed_online, (SELECT UNNEST([1, 2]) AS l) AS two
WHERE l <= 1 + n % 2

-- insert: shopify_order_lines
SELECT
  n AS order_id, placed_at AS order_updated_at, n * 10 + l AS line_item_id, l AS line_position,
  'SKU-' || (n + l * 7919) % $products AS sku, 'A thing' AS title, quantity, quantity AS current_quantity,
  price AS unit_price, discount AS discount_amount, tax AS tax_amount, loaded_at
FROM lines_online
ORDER BY n, l

-- insert: shopify_orders
SELECT
  n AS order_id, '#' || n AS name, n // 3 AS customer_id, n % 997 = 3 AS is_test, 'USD' AS currency,
  'PAID' AS financial_status, 'FULFILLED' AS fulfillment_status, FALSE AS taxes_included, 'web' AS source_name,
  placed_at AS created_at, placed_at AS processed_at, CASE WHEN n % 50 = 7 THEN placed_at END AS cancelled_at,
  SUM(discount) AS discount_amount, SUM(tax) AS tax_amount, 5.00 AS shipping_amount,
  SUM(quantity * price) - SUM(discount) + SUM(tax) + 5.00 AS total_amount,
  total_amount AS placed_total_amount, total_amount AS current_total_amount, placed_at AS updated_at, loaded_at
FROM lines_online
GROUP BY n, placed_at, loaded_at
ORDER BY n

-- insert: shopify_sales
-- What an order was placed with, its shipping, and of every twelfth a piece that came back.
SELECT
  n AS order_id, placed_at AS order_updated_at, n * 10 AS agreement_id, placed_at AS happened_at, 'ORDER' AS reason,
  NULL AS refund_id, n * 100 + l AS sale_id, 'ORDER' AS action_type, 'PRODUCT' AS line_type,
  n * 10 + l AS line_item_id, 'SKU-' || (n + l * 7919) % $products AS sku, quantity, 'USD' AS currency,
  quantity * price - discount + tax AS total_amount, tax AS tax_amount, discount AS discount_before_taxes,
  0 AS discount_after_taxes, loaded_at
FROM lines_online
UNION ALL
SELECT
  n, placed_at, n * 10, placed_at, 'ORDER', NULL, n * 100 + 9, 'ORDER', 'SHIPPING', NULL, NULL, NULL, 'USD', 5.00, 0, 0, 0, loaded_at
FROM placed_online
UNION ALL
SELECT
  n, placed_at, n * 10 + 5, placed_at, 'RETURN', n, n * 100 + 50, 'RETURN', 'PRODUCT', n * 10 + 1, 'SKU-' || (n + 7919) % $products,
  -1, 'USD', -price, 0, 0, 0, loaded_at
FROM lines_online
WHERE l = 1 AND n % 12 = 0
ORDER BY order_id, sale_id

-- insert: shopify_inventory
SELECT
  1 + n % $products AS inventory_item_id, 1 AS location_id, 'SKU-' || n % $products AS sku, on_hand(n, 0, 0) AS available,
  on_hand(n, 0, 0) AS on_hand, 0 AS on_order, placed_at AS updated_at, loaded_at
FROM placed_online
ORDER BY n

-- insert: stores_inventory
SELECT
  store AS store_id, 'SKU-' || item AS sku, on_hand(h, store, item) AS on_hand, item % 5 AS on_order,
  $start + to_hours(h) + INTERVAL 50 MINUTE AS counted_at,
  'inventory/' || STRFTIME($start + to_hours(h), '%Y/%m/%d/%H') || '/store_' || LPAD(store::VARCHAR, 3, '0') || '.csv'
    AS file_name,
  MD5(file_name) AS file_hash, item + 2 AS file_line, $start + to_hours(h) + INTERVAL 51 MINUTE AS file_modified_at,
  $start + to_hours(h) + INTERVAL 65 MINUTE AS loaded_at
FROM (SELECT UNNEST(RANGE($hours)) AS h) AS hours,
  (SELECT UNNEST(RANGE(1, $stores + 1)) AS store) AS stores,
  (SELECT UNNEST(RANGE($counts)) AS item) AS items
ORDER BY h, store, item

-- insert: stores_reference
SELECT
  store AS store_id, 'Store ' || store AS name, 'city' AS format, 'East' AS region, 'Boston' AS city, 'MA' AS state,
  'US' AS country, DATE '2010-05-01' AS opened_on, 9000 AS square_feet,
  ['America/New_York', 'America/Chicago', 'America/Los_Angeles', 'Europe/London'][1 + store % 4] AS timezone,
  day::DATE AS reference_date, 'reference/' || STRFTIME(day, '%Y/%m/%d') || '/store_' || store || '.csv' AS file_name,
  MD5(file_name) AS file_hash, 2 AS file_line, day AS file_modified_at, day + INTERVAL 65 MINUTE AS loaded_at
FROM (SELECT $midnight + to_days(UNNEST(RANGE($days))::INT) AS day) AS days,
  (SELECT UNNEST(RANGE(1, $stores + 1)) AS store) AS stores
ORDER BY day, store

-- insert: oltp_customers
SELECT
  $first_customer + d * $registered + i AS customer_id, 'customer-' || customer_id || '@example.com' AS email,
  'Alex' AS first_name, 'Lee' AS last_name, 'Boston' AS city, 'MA' AS region, 'US' AS country, '02101' AS postal_code,
  'gold' AS loyalty_tier, i % 2 = 0 AS marketing_opt_in, $midnight + to_days(d::INT) AS created_at,
  created_at AS updated_at, created_at + INTERVAL 65 MINUTE AS loaded_at
FROM (SELECT UNNEST(RANGE($days)) AS d) AS days, (SELECT UNNEST(RANGE($registered)) AS i) AS numbers
ORDER BY customer_id

-- insert: oltp_products
SELECT
  'SKU-' || n AS sku, 'Product ' || n AS name, 'things' AS category, 'ours' AS brand, 0.50 AS unit_cost,
  1.00 AS list_price, TRUE AS is_active, $start AS updated_at, $start + INTERVAL 65 MINUTE AS loaded_at
FROM (SELECT UNNEST(RANGE($products)) AS n) AS numbers

-- expected: orders and what they come to
SELECT COUNT(*), SUM(total)
FROM (
  SELECT n, SUM(pieces(n, l) * price(n, l) - discount(n, l) + tax(n, l)) + shipping(n) AS total
  FROM (SELECT UNNEST(RANGE($first, $last)) AS n) AS orders, (SELECT UNNEST([1, 2, 3]) AS l) AS three
  WHERE l <= 1 + n % 3 AND counts(n)
  GROUP BY n
) AS orders

-- expected: lines and their gross sales
SELECT COUNT(*), SUM(pieces(n, l) * price(n, l))
FROM (SELECT UNNEST(RANGE($first, $last)) AS n) AS orders, (SELECT UNNEST([1, 2, 3]) AS l) AS three
WHERE l <= 1 + n % 3 AND counts(n)

-- expected: refunds and their amounts
SELECT COUNT(*), SUM(price(refunded(n, $first_of_all, $reach), 1))
FROM (SELECT UNNEST(RANGE($first, $last)) AS n) AS asked
WHERE n % 12 = 0 AND counts(refunded(n, $first_of_all, $reach))

-- expected: online orders and what they come to
SELECT COUNT(*), SUM(total)
FROM (
  SELECT n, SUM(pieces(n, l) * price(n, l) - discount(n, l) + tax(n, l)) + 5.00 AS total
  FROM (SELECT UNNEST(RANGE($first_online, $last_online)) AS n) AS orders, (SELECT UNNEST([1, 2]) AS l) AS two
  WHERE l <= 1 + n % 2 AND counts(n)
  GROUP BY n
) AS orders

-- expected: online refunds and their amounts
SELECT COUNT(*), SUM(price(n, 1))
FROM (SELECT UNNEST(RANGE($first_online, $last_online)) AS n) AS orders
WHERE n % 12 = 0 AND counts(n)

-- certified: orders and what they come to
SELECT COUNT(*), SUM(total_amount) FROM certified.fct_orders WHERE source_system = 'oltp'

-- certified: lines and their gross sales
SELECT COUNT(*), SUM(gross_sales) FROM certified.fct_order_lines WHERE source_system = 'oltp'

-- certified: refunds and their amounts
SELECT COUNT(*), SUM(refund_amount) FROM certified.fct_refunds WHERE source_system = 'oltp'

-- certified: online orders and what they come to
SELECT COUNT(*), SUM(total_amount) FROM certified.fct_orders WHERE source_system = 'shopify'

-- certified: online refunds and their amounts
SELECT COUNT(*), SUM(refund_amount) FROM certified.fct_refunds WHERE source_system = 'shopify'
