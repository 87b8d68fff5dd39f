MODEL (
  name staging._oltp_order_lines,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Latest version of every order line with the rules it breaks, in the window of its order; a line without an order stands in the window of its own last change. Read staging.oltp_order_lines or quarantine.oltp_order_lines instead.',
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
      FROM staging._oltp_orders AS w
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
    l.changed_at
  FROM latest AS l
  LEFT JOIN staging._oltp_orders AS o
    ON o.order_id = l.order_id::VARCHAR
), typed AS (
  SELECT
    'oltp'::VARCHAR AS source_system,
    p.order_id::VARCHAR AS order_id,
    p.line_number::BIGINT AS line_number,
    NULLIF(TRIM(p.sku), '')::VARCHAR AS sku,
    p.quantity::BIGINT AS quantity,
    p.unit_price::DECIMAL(18, 4) AS unit_price,
    COALESCE(p.discount_amount, 0)::DECIMAL(18, 4) AS discount_amount,
    COALESCE(p.tax_amount, 0)::DECIMAL(18, 4) AS tax_amount,
    p.updated_at::TIMESTAMPNTZ AS source_updated_at,
    COALESCE(p.ordered_event_at, p.changed_at)::TIMESTAMPNTZ AS event_at,
    p._loaded_at::TIMESTAMPNTZ AS _loaded_at,
    p._dlt_load_id::VARCHAR AS raw_load_id,
    p.ordered_event_at AS order_event_at,
    p.order_rule_ids AS order_rule_ids
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
)
SELECT
  *
  EXCLUDE (order_event_at, order_rule_ids),
  @failed_rules__oltp_order_lines()::VARCHAR AS rule_ids
FROM typed
