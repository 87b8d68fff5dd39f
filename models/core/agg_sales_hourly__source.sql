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
  sold_hour::TIMESTAMPNTZ AS sold_hour,
  business_date::DATE AS business_date,
  business_hour::INT AS business_hour,
  store_id::INT AS store_id,
  channel::VARCHAR AS channel,
  SUM(orders)::BIGINT AS orders,
  SUM(units)::BIGINT AS units,
  SUM(gross_sales)::DECIMAL(18, 4) AS gross_sales,
  SUM(discounts)::DECIMAL(18, 4) AS discounts,
  SUM(returns)::DECIMAL(18, 4) AS returns,
  (
    SUM(gross_sales) - SUM(discounts) - SUM(returns)
  )::DECIMAL(18, 4) AS net_sales,
  SUM(taxes)::DECIMAL(18, 4) AS taxes,
  SUM(shipping)::DECIMAL(18, 4) AS shipping,
  (
    SUM(gross_sales) - SUM(discounts) - SUM(returns) + SUM(taxes) + SUM(shipping)
  )::DECIMAL(18, 4) AS total_sales
FROM movements
GROUP BY
  sold_hour,
  business_date,
  business_hour,
  store_id,
  channel
