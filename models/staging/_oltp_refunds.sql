MODEL (
  name staging._oltp_refunds,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Latest version of every store and phone refund with the rules it breaks, on the day of the refund. Order and line may be unknown. Read staging.oltp_refunds or quarantine.oltp_refunds instead.',
  grain refund_id,
  tags (sales, oltp),
  signals (
    source_covered(entities := 'oltp.refunds')
  )
);

WITH latest AS (
  SELECT
    refund_id,
    order_id,
    line_number,
    quantity,
    amount,
    reason,
    refunded_at,
    updated_at,
    _loaded_at,
    _dlt_load_id,
    @event_instant(refunded_at, updated_at, _loaded_at) AS event_at
  FROM raw.oltp_refunds
  WHERE
    _loaded_at >= DATEADD(DAY, -1, @start_ts)
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY refund_id, @row_without_key(refund_id IS NULL, order_id, line_number, quantity, amount, reason, refunded_at, updated_at)
      ORDER BY updated_at DESC NULLS LAST, _dlt_load_id DESC, amount DESC NULLS LAST
    ) = 1
)
SELECT
  'oltp'::VARCHAR AS source_system,
  refund_id::VARCHAR AS refund_id,
  order_id::VARCHAR AS order_id,
  line_number::BIGINT AS line_number,
  NULL::VARCHAR AS sku, /* the source names the line, not the product: core looks it up */
  quantity::BIGINT AS quantity,
  amount::DECIMAL(18, 4) AS refund_amount,
  0::DECIMAL(18, 4) AS tax_amount,
  0::DECIMAL(18, 4) AS shipping_amount,
  reason::VARCHAR AS refund_reason,
  refunded_at::TIMESTAMPNTZ AS refunded_at,
  updated_at::TIMESTAMPNTZ AS source_updated_at,
  event_at::TIMESTAMPNTZ AS event_at,
  _loaded_at::TIMESTAMPNTZ AS _loaded_at,
  _dlt_load_id::VARCHAR AS raw_load_id,
  @failed_rules(
    (refund_id_missing, refund_id IS NULL),
    (refunded_at_missing, refunded_at IS NULL),
    (
      refunded_at_in_future,
      refunded_at > DATEADD(DAY, 1, COALESCE(updated_at, _loaded_at))
    ),
    (refunded_at_before_history, refunded_at < @VAR('history_start')::TIMESTAMPNTZ),
    (amount_missing, amount IS NULL),
    (amount_negative, amount < 0)
  )::VARCHAR AS rule_ids
FROM latest
WHERE
  event_at BETWEEN @start_ts AND @end_ts
