MODEL (
  name certified.agg_sales_daily,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Sales measures by business date, store and channel: the sums of the scanned hourly parts.',
  grain (business_date, store_id, channel),
  tags (
    sales
  )
);

SELECT
  business_date::DATE AS business_date, /* Local date of the store */
  store_id::BIGINT AS store_id, /* Store; 0 online, -1 not known */
  channel::VARCHAR AS channel, /* store, phone, online, pos or unknown */
  SUM(orders)::BIGINT AS orders, /* Orders placed that count, neither cancelled nor test; unit: orders */
  SUM(units)::BIGINT AS units, /* Pieces sold; unit: pieces */
  SUM(gross_sales)::DECIMAL(38, 4) AS gross_sales, /* Quantity x unit price of everything sold, before discounts, returns, taxes and shipping; unit: company's currency */
  SUM(discounts)::DECIMAL(38, 4) AS discounts, /* Discounts given, a positive figure; unit: company's currency */
  SUM(returns)::DECIMAL(38, 4) AS returns, /* Value of goods refunded and of adjustments, a positive figure, on the day of the refund; unit: company's currency */
  SUM(net_sales)::DECIMAL(38, 4) AS net_sales, /* Gross sales less discounts less returns; unit: company's currency */
  SUM(taxes)::DECIMAL(38, 4) AS taxes, /* Tax charged less tax refunded; unit: company's currency */
  SUM(shipping)::DECIMAL(38, 4) AS shipping, /* Shipping charged less shipping refunded; unit: company's currency */
  SUM(duties)::DECIMAL(38, 4) AS duties, /* Duties charged less duties refunded; unit: company's currency */
  SUM(fees)::DECIMAL(38, 4) AS fees, /* Fees charged less fees refunded; unit: company's currency */
  SUM(total_sales)::DECIMAL(38, 4) AS total_sales, /* Net sales plus taxes, shipping, duties and fees; unit: company's currency */
  SUM(tips)::DECIMAL(38, 4) AS tips, /* Tips given less tips given back; in no sales figure; unit: company's currency */
  SUM(gift_cards)::DECIMAL(38, 4) AS gift_cards /* Gift cards sold less gift cards given back; in no sales figure; unit: company's currency */
FROM (
  SELECT
    business_date,
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
    duties,
    fees,
    total_sales,
    tips,
    gift_cards
  FROM certified.agg_sales_hourly__oltp
  UNION ALL
  SELECT
    business_date,
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
    duties,
    fees,
    total_sales,
    tips,
    gift_cards
  FROM certified.agg_sales_hourly__shopify
) AS parts
GROUP BY
  business_date,
  store_id,
  channel
