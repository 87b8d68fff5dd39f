MODEL (
  name staging._oltp_order_lines,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Latest version of every order line with the rules it breaks, in the window of its order or, without one, of its own last change. Read staging.oltp_order_lines or quarantine.oltp_order_lines instead.',
  grain (order_id, line_number),
  tags (sales, oltp),
  signals (
    source_covered(entities := 'oltp.orders oltp.order_lines')
  )
);

WITH loaded AS (
  SELECT
    order_id,
    line_number,
    sku,
    quantity,
    unit_price,
    discount_amount,
    tax_amount,
    updated_at,
    _loaded_at,
    _dlt_load_id
  FROM raw.oltp_order_lines
  WHERE
    _loaded_at >= DATEADD(DAY, -1, @start_ts)
  UNION ALL
  /* An order whose instant was corrected into this window has lines that were loaded with its old one. */
  SELECT
    order_id,
    line_number,
    sku,
    quantity,
    unit_price,
    discount_amount,
    tax_amount,
    updated_at,
    _loaded_at,
    _dlt_load_id
  FROM raw.oltp_order_lines
  WHERE
    _loaded_at < DATEADD(DAY, -1, @start_ts)
    AND order_id IN (
      SELECT
        w.order_id::BIGINT
      FROM staging._oltp_order_headers AS w
      WHERE
        w.event_at BETWEEN @start_ts AND @end_ts
    )
), kept AS (
  SELECT
    *
  FROM loaded AS r
  WHERE
    @not_deleted(raw.oltp_order_lines, r, order_id, line_number)
), latest AS (
  SELECT
    order_id,
    line_number,
    sku,
    quantity,
    unit_price,
    discount_amount,
    tax_amount,
    updated_at,
    _loaded_at,
    _dlt_load_id,
    @event_instant(updated_at, updated_at, _loaded_at) AS changed_at
  FROM kept
  QUALIFY
    @is_latest_version(
      (order_id, line_number),
      updated_at,
      _dlt_load_id,
      (quantity, unit_price),
      (sku, quantity, unit_price, discount_amount, tax_amount, updated_at)
    )
), placed AS (
  SELECT
    l.order_id,
    l.line_number,
    l.sku,
    l.quantity,
    l.unit_price,
    l.discount_amount,
    l.tax_amount,
    l.updated_at,
    l._loaded_at,
    l._dlt_load_id,
    o.event_at AS ordered_event_at,
    o.rule_ids AS order_rule_ids,
    o.discount_amount AS order_discount_amount,
    o.tax_amount AS order_tax_amount,
    o.shipping_amount AS order_shipping_amount,
    o.total_amount AS order_total_amount,
    NOT d.order_id IS NULL AND o.order_id IS NULL AS order_is_deleted,
    l.changed_at
  FROM latest AS l
  LEFT JOIN staging._oltp_order_headers AS o
    ON o.order_id = l.order_id::VARCHAR
  LEFT JOIN (
    SELECT DISTINCT
      order_id
    FROM raw.oltp_orders
    WHERE
      NOT _deleted_at IS NULL
  ) AS d
    ON d.order_id = l.order_id
), typed AS (
  SELECT
    'oltp'::VARCHAR AS source_system,
    p.order_id::VARCHAR AS order_id,
    p.line_number::BIGINT AS line_number,
    NULLIF(TRIM(p.sku), '')::VARCHAR AS sku,
    p.quantity::BIGINT AS quantity,
    p.unit_price::DECIMAL(18, 4) AS unit_price,
    NULL::DECIMAL(18, 4) AS gross_amount, /* quantity x unit_price; only the online shop states it apart */
    COALESCE(p.discount_amount, 0)::DECIMAL(18, 4) AS discount_amount,
    COALESCE(p.tax_amount, 0)::DECIMAL(18, 4) AS tax_amount,
    @believed(p.updated_at, p._loaded_at)::TIMESTAMPNTZ AS source_updated_at,
    NULL::TIMESTAMPNTZ AS added_at, /* only the online shop says when a line was added */
    COALESCE(p.ordered_event_at, p.changed_at)::TIMESTAMPNTZ AS event_at,
    p._loaded_at::TIMESTAMPNTZ AS _loaded_at,
    p._dlt_load_id::VARCHAR AS raw_load_id,
    p.ordered_event_at AS order_event_at,
    p.order_rule_ids AS order_rule_ids,
    p.order_discount_amount AS order_discount_amount,
    p.order_tax_amount AS order_tax_amount,
    p.order_shipping_amount AS order_shipping_amount,
    p.order_total_amount AS order_total_amount,
    p.order_is_deleted AS order_is_deleted
  FROM placed AS p
  WHERE
    p.ordered_event_at BETWEEN @start_ts AND @end_ts
    OR (
      p.ordered_event_at IS NULL
      AND p.changed_at BETWEEN @start_ts AND @end_ts
      AND NOT EXISTS(
        SELECT
          1
        FROM raw.oltp_orders AS r
        WHERE
          r.order_id = p.order_id AND @not_deleted(raw.oltp_orders, r, order_id)
      )
    ) /* an order that the source knows but that is not released yet is no orphan: the line comes with its window */
), checked AS (
  SELECT
    *,
    @failed_rules__oltp_order_lines()::VARCHAR AS own_rule_ids
  FROM typed
), parts AS (
  SELECT
    order_id,
    MAX(order_discount_amount) AS discount_amount,
    MAX(order_tax_amount) AS tax_amount,
    MAX(order_shipping_amount) AS shipping_amount,
    MAX(order_total_amount) AS total_amount,
    COUNT(CASE WHEN own_rule_ids <> 'stock_adjustment' THEN 1 END) AS rejected_lines,
    SUM(
      CASE
        WHEN own_rule_ids IS NULL AND quantity > 0
        THEN quantity * unit_price
        ELSE 0
      END
    ) AS gross_sales,
    SUM(
      CASE
        WHEN own_rule_ids IS NULL AND quantity < 0
        THEN ABS(quantity) * unit_price - ABS(discount_amount)
        ELSE 0
      END
    ) AS returned_amount,
    SUM(CASE WHEN own_rule_ids IS NULL AND quantity > 0 THEN discount_amount ELSE 0 END) AS lines_discount_amount,
    SUM(
      CASE
        WHEN NOT own_rule_ids IS NULL
        THEN 0
        WHEN quantity > 0
        THEN tax_amount
        ELSE -ABS(tax_amount)
      END
    ) AS lines_tax_amount
  FROM checked
  WHERE
    NOT order_event_at IS NULL AND order_rule_ids IS NULL
  GROUP BY
    order_id
), weighed AS (
  SELECT
    order_id,
    discount_amount,
    tax_amount,
    shipping_amount,
    total_amount,
    rejected_lines,
    returned_amount,
    total_amount - (
      gross_sales - COALESCE(NULLIF(discount_amount, 0), lines_discount_amount) - returned_amount + COALESCE(NULLIF(tax_amount, 0), lines_tax_amount) + COALESCE(shipping_amount, 0)
    ) AS total_difference
  FROM parts
), judged AS (
  SELECT
    order_id,
    @failed_rules__oltp_orders_with_lines()::VARCHAR AS order_verdict
  FROM weighed
)
SELECT
  c.*
  EXCLUDE (order_event_at, order_rule_ids, order_discount_amount, order_tax_amount, order_shipping_amount, order_total_amount, order_is_deleted, own_rule_ids),
  (
    c.quantity < 0
  )::BOOLEAN AS is_returned, /* given back on the order itself, as in an exchange at the till */
  j.order_verdict AS order_verdict, /* the rules that its order breaks with its lines, for staging._oltp_orders */
  COALESCE(c.own_rule_ids, CASE WHEN NOT j.order_verdict IS NULL THEN 'order_quarantined' END)::VARCHAR AS rule_ids
FROM checked AS c
LEFT JOIN judged AS j
  ON j.order_id = c.order_id AND NOT c.order_event_at IS NULL
