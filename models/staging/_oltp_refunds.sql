MODEL (
  name staging._oltp_refunds,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Latest version of every store and phone refund, on the day of the refund, with store, channel and product of its order and the rules it breaks. Read staging.oltp_refunds or quarantine.oltp_refunds instead.',
  grain refund_id,
  tags (sales, oltp),
  signals (
    source_covered(entities := 'oltp.orders oltp.order_lines oltp.refunds')
  )
);

WITH loaded AS (
  SELECT
    r.refund_id,
    r.order_id,
    r.line_number,
    r.quantity,
    r.amount,
    r.reason,
    r.refunded_at,
    r.updated_at,
    r._loaded_at,
    r._dlt_load_id,
    @event_instant(r.refunded_at, r.updated_at, r._loaded_at) AS event_at
  FROM raw.oltp_refunds AS r
  LEFT JOIN raw.oltp_refunds AS d
    ON @ended_by(d, r, refund_id) AND d._loaded_at >= DATEADD(DAY, -1, @start_ts)
  WHERE
    r._loaded_at >= DATEADD(DAY, -1, @start_ts) AND d._dlt_load_id IS NULL
), versions AS (
  /* Read several times, a version is one: of the load that brought it first, whichever loads came after. */
  SELECT
    refund_id,
    order_id,
    line_number,
    quantity,
    amount,
    reason,
    refunded_at,
    updated_at,
    event_at,
    MIN(_loaded_at) AS first_loaded_at,
    MIN(_dlt_load_id) AS first_load_id,
    MAX(_loaded_at) AS _loaded_at,
    MAX(_dlt_load_id) AS _dlt_load_id
  FROM loaded
  GROUP BY
    refund_id,
    order_id,
    line_number,
    quantity,
    amount,
    reason,
    refunded_at,
    updated_at,
    event_at
), latest AS (
  SELECT
    *
  FROM versions
  QUALIFY
    @is_latest_version(
      refund_id,
      updated_at,
      _dlt_load_id,
      amount,
      (order_id, line_number, quantity, amount, reason, refunded_at, updated_at)
    )
), refunds AS (
  SELECT
    *
  FROM latest
  WHERE
    event_at BETWEEN @start_ts AND @end_ts
), released_orders AS (
  SELECT
    order_id,
    store_id,
    channel,
    is_counted,
    rule_ids
  FROM staging._oltp_orders
  WHERE
    order_id IN (
      SELECT
        r.order_id::VARCHAR
      FROM refunds AS r
    )
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY order_id
      ORDER BY source_updated_at DESC NULLS LAST, raw_load_id DESC, event_at
    ) = 1 /* until both its hours are restated, an order that moved stands in two */
), not_released AS (
  SELECT
    order_id
  FROM refunds
  EXCEPT
  SELECT
    order_id::BIGINT
  FROM released_orders
), deletions AS (
  SELECT
    order_id,
    MAX(_dlt_load_id) AS deleted_load_id
  FROM raw.oltp_orders
  WHERE
    NOT _deleted_at IS NULL
    AND order_id IN (
      SELECT
        r.order_id
      FROM refunds AS r
    )
  GROUP BY
    order_id
), came_back AS (
  SELECT
    w.order_id
  FROM raw.oltp_orders AS w
  INNER JOIN deletions AS d
    ON d.order_id = w.order_id
  WHERE
    w._dlt_load_id > d.deleted_load_id
), deleted_orders AS (
  /* Orders of which the source holds nothing any more, or holds them with a mark; one that came back is none. */
  SELECT
    order_id
  FROM deletions
  EXCEPT
  SELECT
    order_id
  FROM came_back
), waiting_orders AS (
  /* An order whose instant moved into an hour that is not released yet is known all the same. */
  SELECT
    w.order_id,
    w.store_id,
    LOWER(TRIM(w.channel)) AS channel,
    @oltp_order_counts(w.status, w.is_test) AS is_counted
  FROM raw.oltp_orders AS w
  LEFT JOIN deletions AS d
    ON d.order_id = w.order_id AND d.deleted_load_id >= w._dlt_load_id
  WHERE
    d.order_id IS NULL
    AND w.order_id IN (
      SELECT
        n.order_id
      FROM not_released AS n
    )
  QUALIFY
    @is_latest_version(w.order_id, w.updated_at, w._dlt_load_id, (w.total_amount, w.status))
), orders AS (
  SELECT
    order_id,
    store_id,
    channel,
    is_counted,
    rule_ids
  FROM released_orders
  UNION ALL
  SELECT
    order_id::VARCHAR,
    store_id,
    channel,
    is_counted,
    NULL
  FROM waiting_orders
  WHERE
    NOT store_id IS NULL AND channel IN ('store', 'phone')
), products AS (
  SELECT
    order_id,
    line_number,
    sku,
    source_updated_at,
    raw_load_id
  FROM staging._oltp_order_lines
  WHERE
    order_id IN (
      SELECT
        r.order_id::VARCHAR
      FROM refunds AS r
      WHERE
        NOT r.line_number IS NULL
    )
  UNION ALL
  SELECT
    order_id::VARCHAR,
    line_number,
    NULLIF(TRIM(sku), ''),
    updated_at,
    _dlt_load_id
  FROM raw.oltp_order_lines
  WHERE
    order_id IN (
      SELECT
        w.order_id
      FROM waiting_orders AS w
    )
), refunded_products AS (
  SELECT
    order_id,
    line_number,
    sku
  FROM products
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY order_id, line_number
      ORDER BY source_updated_at DESC NULLS LAST, raw_load_id DESC, sku
    ) = 1
), typed AS (
  SELECT
    'oltp'::VARCHAR AS source_system,
    r.refund_id::VARCHAR AS refund_id,
    r.order_id::VARCHAR AS order_id,
    r.line_number::BIGINT AS line_number,
    o.store_id::BIGINT AS store_id, /* of the order; NULL when nobody knows the order */
    o.channel::VARCHAR AS channel,
    COALESCE(o.is_counted, TRUE)::BOOLEAN AS is_counted, /* refunds of cancelled and test orders count nowhere, as their orders */
    p.sku::VARCHAR AS sku,
    r.quantity::BIGINT AS quantity,
    r.amount::DECIMAL(18, 4) AS refund_amount,
    0::DECIMAL(18, 4) AS adjustment_amount,
    0::DECIMAL(18, 4) AS tax_amount,
    0::DECIMAL(18, 4) AS shipping_amount,
    0::DECIMAL(18, 4) AS duties_amount,
    0::DECIMAL(18, 4) AS fees_amount,
    0::DECIMAL(18, 4) AS tips_amount,
    0::DECIMAL(18, 4) AS gift_cards_amount,
    r.reason::VARCHAR AS refund_reason,
    r.refunded_at::TIMESTAMPNTZ AS refunded_at,
    @believed(r.updated_at, r.first_loaded_at)::TIMESTAMPNTZ AS source_updated_at,
    r.event_at::TIMESTAMPNTZ AS event_at,
    r.first_loaded_at::TIMESTAMPNTZ AS _loaded_at,
    r.first_load_id::VARCHAR AS raw_load_id,
    o.rule_ids AS order_rule_ids,
    NOT d.order_id IS NULL AS order_is_deleted
  FROM refunds AS r
  LEFT JOIN orders AS o
    ON o.order_id = r.order_id::VARCHAR
  LEFT JOIN deleted_orders AS d
    ON d.order_id = r.order_id
  LEFT JOIN refunded_products AS p
    ON p.order_id = r.order_id::VARCHAR AND p.line_number = r.line_number
)
SELECT
  *
  EXCLUDE (order_rule_ids, order_is_deleted),
  @failed_rules__oltp_refunds()::VARCHAR AS rule_ids
FROM typed
