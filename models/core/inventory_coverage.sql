MODEL (
  name core.inventory_coverage,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column counted_hour
  ),
  description 'How many open stores should have sent their counts of a UTC hour and how many did. Missing stores are counted and shown, never invented. Candidate of certified.inventory_coverage.',
  grain counted_hour,
  tags (
    inventory
  ),
  audits (
    not_null(columns := (counted_hour, open_stores, reporting_stores)),
    unique_values(columns := (
      counted_hour
    )),
    forall(criteria := (
      reporting_stores <= open_stores
    ))
  )
);

WITH hours AS (
  SELECT
    DATEADD(HOUR, h.hour_of_day, d.calendar_date::TIMESTAMPNTZ) AS counted_hour
  FROM core.dim_dates AS d
  CROSS JOIN (VALUES
    (0),
    (1),
    (2),
    (3),
    (4),
    (5),
    (6),
    (7),
    (8),
    (9),
    (10),
    (11),
    (12),
    (13),
    (14),
    (15),
    (16),
    (17),
    (18),
    (19),
    (20),
    (21),
    (22),
    (23)) AS h(hour_of_day)
  WHERE
    d.calendar_date BETWEEN @start_date AND @end_date
), expected AS (
  SELECT
    h.counted_hour,
    s.store_id
  FROM hours AS h
  LEFT JOIN core.dim_stores__reference AS s
    ON s.store_id > 0
    AND h.counted_hour >= s.valid_from
    AND h.counted_hour < s.valid_to
    AND CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, @VAR('company_timezone')), h.counted_hour)::DATE >= COALESCE(s.opened_on, '1970-01-01'::DATE)
    AND CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, @VAR('company_timezone')), h.counted_hour)::DATE < COALESCE(s.closed_on, '9999-12-31'::DATE)
  WHERE
    h.counted_hour BETWEEN @start_ts AND @end_ts
), reported AS (
  SELECT DISTINCT
    counted_hour,
    store_id
  FROM core.fct_inventory__stores
  WHERE
    counted_hour BETWEEN @start_ts AND @end_ts
)
SELECT
  e.counted_hour::TIMESTAMPNTZ AS counted_hour, /* UTC hour */
  COUNT(DISTINCT e.store_id)::BIGINT AS open_stores, /* Stores that should have sent their counts */
  COUNT(DISTINCT r.store_id)::BIGINT AS reporting_stores /* Those of the open stores whose counts are in fct_inventory */
FROM expected AS e
LEFT JOIN reported AS r
  ON r.counted_hour = e.counted_hour AND r.store_id = e.store_id
GROUP BY
  e.counted_hour
