MODEL (
  name staging._oltp_orders,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Latest version of every store and phone order with the rules that it breaks, by itself or with its lines; one row is one order. Read staging.oltp_orders or quarantine.oltp_orders instead.',
  grain order_id,
  tags (sales, oltp),
  signals (
    source_covered(entities := 'oltp.orders oltp.order_lines')
  )
);

WITH lines AS (
  SELECT
    order_id,
    MAX(order_verdict) AS order_verdict
  FROM staging._oltp_order_lines
  WHERE
    event_at BETWEEN @start_ts AND @end_ts
  GROUP BY
    order_id
)
SELECT
  h.*
  EXCLUDE (rule_ids),
  COALESCE(
    h.rule_ids,
    l.order_verdict,
    CASE WHEN l.order_id IS NULL THEN @failed_rules__oltp_orders_without_lines() END
  )::VARCHAR AS rule_ids,
  @execution_ts::TIMESTAMPNTZ AS staged_at /* dimensions look at what has been judged since they looked last */
FROM staging._oltp_order_headers AS h
LEFT JOIN lines AS l
  ON l.order_id = h.order_id
WHERE
  h.event_at BETWEEN @start_ts AND @end_ts
