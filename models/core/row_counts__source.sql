MODEL (
  name core.row_counts__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_hour
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  description 'How many rows of the sales entities stand in each UTC hour and how many of them are in quarantine: what the reject-rate check measures. Candidate of certified.row_counts.',
  grain (event_hour, entity),
  tags (
    sales
  ),
  audits (
    unique_combination_of_columns(columns := (event_hour, entity)),
    forall(criteria := (
      rejected_row_count <= row_count
    ))
  )
);

WITH checked AS (
  SELECT
    event_at,
    source_system,
    'orders' AS entity,
    rule_ids
  FROM staging._@{source}_orders
  WHERE
    event_at BETWEEN @start_ts AND @end_ts
  UNION ALL
  SELECT
    event_at,
    source_system,
    'order_lines' AS entity,
    rule_ids
  FROM staging._@{source}_order_lines
  WHERE
    event_at BETWEEN @start_ts AND @end_ts
  UNION ALL
  SELECT
    event_at,
    source_system,
    'refunds' AS entity,
    rule_ids
  FROM staging._@{source}_refunds
  WHERE
    event_at BETWEEN @start_ts AND @end_ts
)
SELECT
  DATE_TRUNC('HOUR', event_at)::TIMESTAMPNTZ AS event_hour, /* UTC hour of the rows */
  source_system::VARCHAR AS source_system, /* oltp or shopify */
  entity::VARCHAR AS entity, /* orders, order_lines or refunds */
  COUNT(*)::BIGINT AS row_count, /* Rows the source has in this hour */
  COUNT(CASE WHEN NOT rule_ids IN ('order_deleted', 'stock_adjustment') THEN 1 END)::BIGINT AS rejected_row_count /* Rows of these that are in quarantine, apart from stock adjustments and what belongs to deleted orders */
FROM checked
GROUP BY
  1,
  source_system,
  entity
