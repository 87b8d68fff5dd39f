MODEL (
  name certified.row_counts__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_hour
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  depends_on (
    gate.sales__@{source}
  ),
  description 'One source of certified.row_counts: exactly the windows that the gate has scanned.',
  grain (event_hour, source_system, entity),
  tags (
    sales
  )
);

SELECT
  event_hour::TIMESTAMPNTZ AS event_hour, /* UTC hour of the rows */
  source_system::VARCHAR AS source_system, /* oltp or shopify */
  entity::VARCHAR AS entity, /* orders, order_lines or refunds */
  row_count::BIGINT AS row_count, /* Rows the source has in this hour */
  rejected_row_count::BIGINT AS rejected_row_count /* Rows of these that are in quarantine, apart from stock adjustments and what belongs to deleted orders */
FROM core.row_counts__@{source}
WHERE
  event_hour BETWEEN @start_ts AND @end_ts
