MODEL (
  name core.agg_sales_hourly__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column sold_hour
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  description 'Sales measures by UTC hour and by business date and hour of the store; parts of one business hour add up. Candidate of certified.agg_sales_hourly.',
  grain (sold_hour, business_date, business_hour, store_id, channel),
  tags (
    sales
  ),
  audits (
    unique_combination_of_columns(columns := (sold_hour, business_date, business_hour, store_id, channel)),
    agrees_with_orders(
      made_of_orders := core.fct_orders__@{source},
      and_refunds := core.fct_refunds__@{source}
    )
  )
);

WITH movements AS (
  SELECT
    DATE_TRUNC('HOUR', ordered_at) AS sold_hour,
    business_date,
    business_hour,
    store_id,
    channel,
    1 AS orders,
    units,
    gross_sales,
    discount_amount AS discounts,
    0 AS returns,
    tax_amount AS taxes,
    shipping_amount AS shipping
  FROM core.fct_orders__@{source}
  WHERE
    ordered_at BETWEEN @start_ts AND @end_ts
  UNION ALL
  SELECT
    DATE_TRUNC('HOUR', refunded_at) AS sold_hour,
    business_date,
    business_hour,
    store_id,
    channel,
    0 AS orders,
    0 AS units,
    0 AS gross_sales,
    0 AS discounts,
    refund_amount AS returns,
    -tax_amount AS taxes,
    -shipping_amount AS shipping
  FROM core.fct_refunds__@{source}
  WHERE
    refunded_at BETWEEN @start_ts AND @end_ts
)
SELECT
  sold_hour::TIMESTAMPNTZ AS sold_hour, /* UTC hour of this part */
  business_date::DATE AS business_date, /* Local date of the store */
  business_hour::INT AS business_hour, /* Local hour of the store, 0 to 23 */
  store_id::INT AS store_id, /* Store; 0 online, -1 not known */
  channel::VARCHAR AS channel, /* store, phone, online or unknown */
  SUM(orders)::BIGINT AS orders, /* Orders placed that count, neither cancelled nor test; unit: orders */
  SUM(units)::BIGINT AS units, /* Pieces sold; unit: pieces */
  SUM(gross_sales)::DECIMAL(18, 4) AS gross_sales, /* Quantity x unit price of everything sold, before discounts, returns, taxes and shipping; unit: company's currency */
  SUM(discounts)::DECIMAL(18, 4) AS discounts, /* Discounts given, a positive figure; unit: company's currency */
  SUM(returns)::DECIMAL(18, 4) AS returns, /* Value of goods refunded, a positive figure, on the day of the refund; unit: company's currency */
  (
    SUM(gross_sales) - SUM(discounts) - SUM(returns)
  )::DECIMAL(18, 4) AS net_sales, /* Gross sales less discounts less returns; unit: company's currency */
  SUM(taxes)::DECIMAL(18, 4) AS taxes, /* Tax charged less tax refunded; unit: company's currency */
  SUM(shipping)::DECIMAL(18, 4) AS shipping, /* Shipping charged less shipping refunded; unit: company's currency */
  (
    SUM(gross_sales) - SUM(discounts) - SUM(returns) + SUM(taxes) + SUM(shipping)
  )::DECIMAL(18, 4) AS total_sales /* Net sales plus taxes plus shipping; unit: company's currency */
FROM movements
GROUP BY
  sold_hour,
  business_date,
  business_hour,
  store_id,
  channel
