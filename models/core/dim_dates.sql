MODEL (
  name core.dim_dates,
  kind FULL,
  description 'The calendar; one row is one day, from 2010 to 2039. Candidate of certified.dim_dates.',
  grain calendar_date,
  tags (
    stores
  ),
  audits (
    not_null(columns := (
      calendar_date
    )),
    unique_values(columns := (
      calendar_date
    ))
  )
);

WITH digits AS (
  SELECT
    digit
  FROM (VALUES
    (0),
    (1),
    (2),
    (3),
    (4),
    (5),
    (6),
    (7),
    (8),
    (9)) AS d(digit)
), days AS (
  SELECT
    DATEADD(
      DAY,
      a.digit + 10 * b.digit + 100 * c.digit + 1000 * e.digit + 10000 * f.digit,
      '2010-01-01'::DATE
    )::DATE AS calendar_date
  FROM digits AS a
  CROSS JOIN digits AS b
  CROSS JOIN digits AS c
  CROSS JOIN digits AS e
  CROSS JOIN digits AS f
)
SELECT
  calendar_date::DATE AS calendar_date, /* The day */
  DATE_PART(YEAR, calendar_date)::INT AS calendar_year, /* Year */
  DATE_PART(QUARTER, calendar_date)::INT AS calendar_quarter, /* Quarter, 1 to 4 */
  DATE_PART(MONTH, calendar_date)::INT AS calendar_month, /* Month, 1 to 12 */
  DATE_PART(DAY, calendar_date)::INT AS day_of_month, /* Day of the month */
  DAYOFWEEKISO(calendar_date)::INT AS day_of_week, /* ISO day of the week, Monday is 1 */
  (
    DAYOFWEEKISO(calendar_date) >= 6
  )::BOOLEAN AS is_weekend, /* Saturday or Sunday */
  CASE DAYOFWEEKISO(calendar_date)
    WHEN 1
    THEN 'Monday'
    WHEN 2
    THEN 'Tuesday'
    WHEN 3
    THEN 'Wednesday'
    WHEN 4
    THEN 'Thursday'
    WHEN 5
    THEN 'Friday'
    WHEN 6
    THEN 'Saturday'
    ELSE 'Sunday'
  END::VARCHAR AS weekday, /* Day of the week, in English */
  YEAROFWEEKISO(calendar_date)::INT AS iso_year, /* Year that the ISO week belongs to, which around New Year is not always the day's own */
  WEEKISO(calendar_date)::INT AS iso_week, /* ISO week, 1 to 53; it begins on Monday */
  DATE_TRUNC('MONTH', calendar_date)::DATE AS month_first, /* First day of the month */
  DATEADD(DAY, -364, calendar_date)::DATE AS same_weekday_last_year /* The day 52 weeks before, which is the same day of the week */
FROM days
WHERE
  calendar_date < '2040-01-01'::DATE
