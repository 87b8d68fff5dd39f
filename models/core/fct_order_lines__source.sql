MODEL (
  name core.fct_order_lines__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column sold_at
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  description 'Order lines that count, in the window of their order, or of the edit that added them; cancelled and test orders are left out. Candidate of certified.fct_order_lines.',
  grain (source_system, order_id, line_number),
  tags (
    sales
  ),
  audits (
    not_null(
      columns := (
        order_id,
        line_number,
        ordered_at,
        sold_at,
        business_date,
        business_hour,
        store_id
      )
    ),
    unique_combination_of_columns(columns := (order_id, line_number)),
    gross_is_quantity_times_price
  )
);

WITH lines AS (
  SELECT
    *
  FROM staging._@{source}_order_lines
  WHERE
    rule_ids IS NULL
    AND NOT is_returned /* what was given back on the order itself is a refund */
    AND event_at BETWEEN @start_ts AND @end_ts
), orders AS (
  SELECT
    order_id,
    ordered_at,
    store_id,
    channel,
    customer_id,
    currency,
    order_status
  FROM staging._@{source}_orders
  WHERE
    rule_ids IS NULL
    AND is_counted
    AND event_at BETWEEN @start_ts AND @end_ts
    AND ordered_at BETWEEN @start_ts AND @end_ts
), orders_added_to AS (
  /* Only the online shop adds lines to an order of an earlier hour. */
  SELECT
    order_id,
    ordered_at,
    store_id,
    channel,
    customer_id,
    currency,
    order_status,
    rule_ids,
    is_counted
  FROM staging._@{source}_orders
  WHERE
    @text(@source) = 'shopify'
    AND event_at <= @end_ts
    AND order_id IN (
      SELECT
        a.order_id
      FROM lines AS a
      WHERE
        NOT a.added_at IS NULL
    )
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY order_id
      ORDER BY source_updated_at DESC NULLS LAST, raw_load_id DESC, event_at
    ) = 1
), sold AS (
  SELECT
    l.*,
    o.ordered_at,
    o.ordered_at AS sold_at,
    o.store_id,
    o.channel,
    o.customer_id,
    o.currency,
    o.order_status
  FROM lines AS l
  INNER JOIN orders AS o
    ON o.order_id = l.order_id
  WHERE
    l.added_at IS NULL
  UNION ALL
  SELECT
    l.*,
    o.ordered_at,
    l.added_at AS sold_at,
    o.store_id,
    o.channel,
    o.customer_id,
    o.currency,
    o.order_status
  FROM lines AS l
  INNER JOIN orders_added_to AS o
    ON o.order_id = l.order_id
  WHERE
    NOT l.added_at IS NULL AND o.rule_ids IS NULL AND o.is_counted
), local_times AS (
  @local_times(sold, sold_at, core._store_zones)
), placed AS (
  SELECT
    s.source_system,
    s.order_id,
    s.line_number,
    s.ordered_at,
    s.sold_at,
    t.local_at AS sold_at_local,
    s.store_id,
    s.channel,
    s.customer_id,
    s.sku,
    s.quantity,
    s.unit_price,
    COALESCE(s.gross_amount, s.quantity * s.unit_price) AS gross_amount,
    s.discount_amount,
    s.tax_amount,
    s.added_at,
    s.currency,
    s.order_status,
    s.source_updated_at,
    s.raw_load_id
  FROM sold AS s
  LEFT JOIN local_times AS t
    ON t.store_id = s.store_id AND t.minute_at = DATE_TRUNC('MINUTE', s.sold_at)
)
SELECT
  source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  order_id::VARCHAR AS order_id, /* The order's number in its source system */
  line_number::BIGINT AS line_number, /* Line within the order; for shopify the line item id, or the number of the sale where an edit added to it */
  ordered_at::TIMESTAMPNTZ AS ordered_at, /* When the order was placed, UTC */
  sold_at::TIMESTAMPNTZ AS sold_at, /* When the line was sold, UTC; that of the order, or of the edit that added it */
  sold_at_local::DATE AS business_date, /* Local date of the store when the line was sold */
  DATE_PART(HOUR, sold_at_local)::INT AS business_hour, /* Local hour of the store when the line was sold, 0 to 23 */
  store_id::BIGINT AS store_id, /* Store; 0 is the online shop */
  channel::VARCHAR AS channel, /* store, phone, online, or pos for Shopify POS at a location that stands for no store */
  customer_id::VARCHAR AS customer_id, /* Customer, as in dim_customers; NULL for a guest */
  sku::VARCHAR AS sku, /* Product, as in dim_products; NULL for an item without a SKU */
  quantity::BIGINT AS quantity, /* Pieces sold */
  unit_price::DECIMAL(18, 4) AS unit_price, /* Price of one piece before discount and taxes; for shopify gross_sales divided by quantity */
  gross_amount::DECIMAL(18, 4) AS gross_sales, /* quantity x unit_price, before taxes */
  discount_amount::DECIMAL(18, 4) AS discount_amount, /* Discount on this line */
  tax_amount::DECIMAL(18, 4) AS tax_amount, /* Tax on this line */
  (
    gross_amount - discount_amount
  )::DECIMAL(18, 4) AS net_sales_before_returns, /* Gross sales of a line less its discount; unit: company's currency */
  (
    NOT added_at IS NULL
  )::BOOLEAN AS is_added, /* Whether an edit added it after the order was placed; fct_orders does not hold it then */
  currency::VARCHAR AS currency, /* ISO 4217 code; always the company's */
  order_status::VARCHAR AS order_status, /* pending, paid, shipped or completed */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM placed
WHERE
  sold_at BETWEEN @start_ts AND @end_ts
