MODEL (
  name certified.inventory_coverage,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column counted_hour
  ),
  depends_on (
    gate.inventory__stores
  ),
  description 'How many open stores should have sent their counts of a UTC hour and how many did.',
  grain counted_hour,
  tags (
    inventory
  )
);

SELECT
  counted_hour::TIMESTAMPNTZ AS counted_hour, /* UTC hour */
  open_stores::INT AS open_stores, /* Stores that should have sent their counts */
  reporting_stores::INT AS reporting_stores /* Those of the open stores whose counts are in fct_inventory */
FROM core.inventory_coverage
WHERE
  counted_hour BETWEEN @start_ts AND @end_ts
