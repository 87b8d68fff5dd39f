MODEL (
  name certified.dim_dates,
  kind FULL,
  depends_on (
    gate.stores
  ),
  description 'The calendar; one row is one day.',
  grain calendar_date,
  tags (
    stores
  )
);

SELECT
  calendar_date::DATE AS calendar_date, /* The day */
  calendar_year::INT AS calendar_year, /* Year */
  calendar_quarter::INT AS calendar_quarter, /* Quarter, 1 to 4 */
  calendar_month::INT AS calendar_month, /* Month, 1 to 12 */
  day_of_month::INT AS day_of_month, /* Day of the month */
  day_of_week::INT AS day_of_week, /* ISO day of the week, Monday is 1 */
  is_weekend::BOOLEAN AS is_weekend, /* Saturday or Sunday */
  weekday::VARCHAR AS weekday, /* Day of the week, in English */
  iso_year::INT AS iso_year, /* Year that the ISO week belongs to, which around New Year is not always the day's own */
  iso_week::INT AS iso_week, /* ISO week, 1 to 53; it begins on Monday */
  month_first::DATE AS month_first, /* First day of the month */
  same_weekday_last_year::DATE AS same_weekday_last_year /* The day 52 weeks before, which is the same day of the week */
FROM core.dim_dates
