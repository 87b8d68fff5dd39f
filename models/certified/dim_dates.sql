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
  is_weekend::BOOLEAN AS is_weekend /* Saturday or Sunday */
FROM core.dim_dates
