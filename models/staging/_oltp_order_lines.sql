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

WITH orders AS (
  SELECT
    order_id,
    order_id::BIGINT AS order_number, /* as raw has it, so that lines are found by it without a look at each */
    event_at,
    rule_ids,
    discount_amount,
    tax_amount,
    shipping_amount,
    total_amount
  FROM staging._oltp_order_headers
  WHERE
    event_at BETWEEN @start_ts AND @end_ts AND NOT order_id IS NULL
), written_elsewhere AS (
  /* Orders of which lines were written in this window, and that are no orders of it: few. */
  SELECT
    order_id
  FROM raw.oltp_order_lines
  WHERE
    _loaded_at >= DATEADD(DAY, -1, @start_ts)
    AND @event_instant(updated_at, updated_at, _loaded_at) BETWEEN @start_ts AND @end_ts
    AND NOT order_id IS NULL
  EXCEPT
  SELECT
    order_number
  FROM orders
), not_staged AS (
  SELECT
    order_id
  FROM written_elsewhere
  EXCEPT
  SELECT
    h.order_id::BIGINT
  FROM staging._oltp_order_headers AS h
  WHERE
    h.order_id IN (
      SELECT
        w.order_id::VARCHAR
      FROM written_elsewhere AS w
    )
), known AS (
  SELECT
    order_id,
    MAX(_dlt_load_id) AS last_load_id,
    MAX(CASE WHEN NOT _deleted_at IS NULL THEN _dlt_load_id END) AS deleted_load_id
  FROM raw.oltp_orders
  WHERE
    order_id IN (
      SELECT
        n.order_id
      FROM not_staged AS n
    )
  GROUP BY
    order_id
), without_order AS (
  /* An order that the source knows but that is not released yet is missed by nobody: its lines come with its window. */
  SELECT
    n.order_id,
    NOT k.order_id IS NULL AS order_is_deleted
  FROM not_staged AS n
  LEFT JOIN known AS k
    ON k.order_id = n.order_id
  WHERE
    k.order_id IS NULL OR k.last_load_id = k.deleted_load_id
), loaded AS (
  /* Whenever they were loaded: an order whose instant was corrected into this window has lines from before. */
  SELECT
    r.order_id,
    r.line_number,
    r.sku,
    r.quantity,
    r.unit_price,
    r.discount_amount,
    r.tax_amount,
    r.updated_at,
    r._deleted_at,
    r._loaded_at,
    r._dlt_load_id
  FROM raw.oltp_order_lines AS r
  WHERE
    r.order_id IN (
      SELECT
        o.order_number
      FROM orders AS o
    )
  UNION ALL
  SELECT
    r.order_id,
    r.line_number,
    r.sku,
    r.quantity,
    r.unit_price,
    r.discount_amount,
    r.tax_amount,
    r.updated_at,
    r._deleted_at,
    r._loaded_at,
    r._dlt_load_id
  FROM raw.oltp_order_lines AS r
  WHERE
    r._loaded_at >= DATEADD(DAY, -1, @start_ts)
    AND r.order_id IN (
      SELECT
        w.order_id
      FROM without_order AS w
    )
  UNION ALL
  SELECT
    r.order_id,
    r.line_number,
    r.sku,
    r.quantity,
    r.unit_price,
    r.discount_amount,
    r.tax_amount,
    r.updated_at,
    r._deleted_at,
    r._loaded_at,
    r._dlt_load_id
  FROM raw.oltp_order_lines AS r
  WHERE
    r._loaded_at >= DATEADD(DAY, -1, @start_ts) AND r.order_id IS NULL
), versions AS (
  /* Read several times, a version is one: of the load that brought it first, whichever loads came after. */
  SELECT
    r.order_id,
    r.line_number,
    r.sku,
    r.quantity,
    r.unit_price,
    r.discount_amount,
    r.tax_amount,
    r.updated_at,
    @event_instant(r.updated_at, r.updated_at, r._loaded_at) AS changed_at,
    MIN(r._loaded_at) AS first_loaded_at,
    MIN(r._dlt_load_id) AS first_load_id,
    MAX(r._loaded_at) AS _loaded_at,
    MAX(r._dlt_load_id) AS _dlt_load_id
  FROM loaded AS r
  LEFT JOIN loaded AS d
    ON @ended_by(d, r, order_id, line_number)
  WHERE
    d._dlt_load_id IS NULL
  GROUP BY
    r.order_id,
    r.line_number,
    r.sku,
    r.quantity,
    r.unit_price,
    r.discount_amount,
    r.tax_amount,
    r.updated_at,
    @event_instant(r.updated_at, r.updated_at, r._loaded_at)
), latest AS (
  SELECT
    *
  FROM versions
  QUALIFY
    @is_latest_version(
      (order_id, line_number),
      updated_at,
      _dlt_load_id,
      (quantity, unit_price),
      (sku, quantity, unit_price, discount_amount, tax_amount, updated_at)
    )
), typed AS (
  SELECT
    'oltp'::VARCHAR AS source_system,
    l.order_id::VARCHAR AS order_id,
    l.line_number::BIGINT AS line_number,
    NULLIF(TRIM(l.sku), '')::VARCHAR AS sku,
    l.quantity::BIGINT AS quantity,
    l.unit_price::DECIMAL(18, 4) AS unit_price,
    NULL::DECIMAL(18, 4) AS gross_amount, /* quantity x unit_price; only the online shop states it apart */
    COALESCE(l.discount_amount, 0)::DECIMAL(18, 4) AS discount_amount,
    COALESCE(l.tax_amount, 0)::DECIMAL(18, 4) AS tax_amount,
    @believed(l.updated_at, l.first_loaded_at)::TIMESTAMPNTZ AS source_updated_at,
    NULL::TIMESTAMPNTZ AS added_at, /* only the online shop says when a line was added */
    COALESCE(o.event_at, l.changed_at)::TIMESTAMPNTZ AS event_at,
    l.first_loaded_at::TIMESTAMPNTZ AS _loaded_at,
    l.first_load_id::VARCHAR AS raw_load_id,
    o.event_at AS order_event_at,
    o.rule_ids AS order_rule_ids,
    o.discount_amount AS order_discount_amount,
    o.tax_amount AS order_tax_amount,
    o.shipping_amount AS order_shipping_amount,
    o.total_amount AS order_total_amount,
    COALESCE(w.order_is_deleted, FALSE) AS order_is_deleted
  FROM latest AS l
  LEFT JOIN orders AS o
    ON o.order_number = l.order_id
  LEFT JOIN without_order AS w
    ON w.order_id = l.order_id
  WHERE
    COALESCE(o.event_at, l.changed_at) BETWEEN @start_ts AND @end_ts
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
  ON j.order_id = c.order_id
