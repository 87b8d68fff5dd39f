MODEL (
  name certified.agg_sales_like_for_like,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Sales of a day beside the same weekday of the year before, only of stores that sold on both: what like-for-like growth is made of.',
  grain (business_date, store_id),
  tags (
    sales
  )
);

/* The days of the year before are summed up after the join: who asks for some dates has only those before them read. */
WITH this_year AS (
  SELECT
    business_date,
    store_id,
    SUM(orders) AS orders,
    SUM(units) AS units,
    SUM(gross_sales) AS gross_sales,
    SUM(net_sales) AS net_sales
  FROM certified.agg_sales_daily
  WHERE
    store_id >= 0
  GROUP BY
    business_date,
    store_id
  HAVING
    SUM(orders) > 0
)
SELECT
  this_year.business_date::DATE AS business_date, /* Local date of the store */
  last_year.business_date::DATE AS compared_date, /* The same weekday of the year before, 52 weeks earlier */
  this_year.store_id::BIGINT AS store_id, /* Store; 0 online */
  this_year.orders::BIGINT AS orders, /* Orders of the day, all channels of the store */
  SUM(last_year.orders)::BIGINT AS orders_last_year, /* Orders of the compared day */
  this_year.units::BIGINT AS units, /* Pieces sold on the day */
  SUM(last_year.units)::BIGINT AS units_last_year, /* Pieces sold on the compared day */
  this_year.gross_sales::DECIMAL(38, 4) AS gross_sales, /* Gross sales of the day */
  SUM(last_year.gross_sales)::DECIMAL(38, 4) AS gross_sales_last_year, /* Gross sales of the compared day */
  this_year.net_sales::DECIMAL(38, 4) AS net_sales, /* Net sales of the day */
  SUM(last_year.net_sales)::DECIMAL(38, 4) AS net_sales_last_year /* Net sales of the compared day */
FROM this_year
INNER JOIN (
  SELECT
    business_date,
    store_id,
    orders,
    units,
    gross_sales,
    net_sales
  FROM certified.agg_sales_hourly__oltp
  UNION ALL
  SELECT
    business_date,
    store_id,
    orders,
    units,
    gross_sales,
    net_sales
  FROM certified.agg_sales_hourly__shopify
) AS last_year
  ON last_year.store_id = this_year.store_id
  AND last_year.business_date = DATEADD(DAY, -364, this_year.business_date)::DATE
GROUP BY
  this_year.business_date,
  last_year.business_date,
  this_year.store_id,
  this_year.orders,
  this_year.units,
  this_year.gross_sales,
  this_year.net_sales
HAVING
  SUM(last_year.orders) > 0
