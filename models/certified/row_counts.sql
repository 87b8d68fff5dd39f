MODEL (
  name certified.row_counts,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Rows of the sales entities by UTC hour, and how many of them are in quarantine and so missing from the facts.',
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
FROM certified.row_counts__oltp
UNION ALL
SELECT
  event_hour,
  source_system,
  entity,
  row_count,
  rejected_row_count
FROM certified.row_counts__shopify
