MODEL (
  name certified.agg_sales_hourly,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Sales measures by business date and hour, store and channel.',
  grain (business_date, business_hour, store_id, channel),
  tags (
    sales
  )
);

SELECT
  business_date::DATE AS business_date, /* Local date of the store */
  business_hour::INT AS business_hour, /* Local hour of the store, 0 to 23 */
  store_id::INT AS store_id, /* Store; 0 online, -1 not known */
  channel::VARCHAR AS channel, /* store, phone, online or unknown */
  SUM(orders)::BIGINT AS orders, /* Orders placed */
  SUM(units)::BIGINT AS units, /* Pieces sold */
  SUM(gross_sales)::DECIMAL(18, 4) AS gross_sales, /* quantity x unit price */
  SUM(discounts)::DECIMAL(18, 4) AS discounts, /* Discounts given */
  SUM(returns)::DECIMAL(18, 4) AS returns, /* Refunds, on the day of the refund */
  SUM(net_sales)::DECIMAL(18, 4) AS net_sales, /* gross_sales - discounts - returns */
  SUM(taxes)::DECIMAL(18, 4) AS taxes, /* Tax charged less tax refunded */
  SUM(shipping)::DECIMAL(18, 4) AS shipping, /* Shipping charged less shipping refunded */
  SUM(total_sales)::DECIMAL(18, 4) AS total_sales /* net_sales + taxes + shipping */
FROM (
  SELECT
    business_date,
    business_hour,
    store_id,
    channel,
    orders,
    units,
    gross_sales,
    discounts,
    returns,
    net_sales,
    taxes,
    shipping,
    total_sales
  FROM certified.agg_sales_hourly__oltp
  UNION ALL
  SELECT
    business_date,
    business_hour,
    store_id,
    channel,
    orders,
    units,
    gross_sales,
    discounts,
    returns,
    net_sales,
    taxes,
    shipping,
    total_sales
  FROM certified.agg_sales_hourly__shopify
) AS parts
GROUP BY
  business_date,
  business_hour,
  store_id,
  channel
