AUDIT (
  name agrees_with_orders
);

/* Every measure of every hour, business date, store and channel is that of the orders, added lines and refunds it was made of,
   exactly. A daily figure is the sum of these hours. */
SELECT
  sold_hour,
  business_date,
  business_hour,
  store_id,
  channel
FROM (
  SELECT
    sold_hour,
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
    duties,
    fees,
    total_sales,
    tips,
    gift_cards
  FROM @this_model
  UNION ALL
  SELECT
    DATE_TRUNC('HOUR', ordered_at) AS sold_hour,
    business_date,
    business_hour,
    store_id,
    channel,
    CASE WHEN line_count = 0 AND returned_amount > 0 THEN 0 ELSE -1 END AS orders,
    -units AS units,
    -gross_sales AS gross_sales,
    -discount_amount AS discounts,
    0 AS returns,
    discount_amount - gross_sales AS net_sales,
    -tax_amount AS taxes,
    -shipping_amount AS shipping,
    -duties_amount AS duties,
    -fees_amount AS fees,
    discount_amount - gross_sales - tax_amount - shipping_amount - duties_amount - fees_amount AS total_sales,
    -tips_amount AS tips,
    -gift_cards_amount AS gift_cards
  FROM @made_of_orders
  WHERE
    ordered_at BETWEEN @start_ts AND @end_ts
  UNION ALL
  SELECT
    DATE_TRUNC('HOUR', sold_at) AS sold_hour,
    business_date,
    business_hour,
    store_id,
    channel,
    0 AS orders,
    -quantity AS units,
    -gross_sales AS gross_sales,
    -discount_amount AS discounts,
    0 AS returns,
    discount_amount - gross_sales AS net_sales,
    -tax_amount AS taxes,
    0 AS shipping,
    0 AS duties,
    0 AS fees,
    discount_amount - gross_sales - tax_amount AS total_sales,
    0 AS tips,
    0 AS gift_cards
  FROM @and_lines
  WHERE
    sold_at BETWEEN @start_ts AND @end_ts AND is_added
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
    -refund_amount AS returns,
    refund_amount AS net_sales,
    tax_amount AS taxes,
    shipping_amount AS shipping,
    duties_amount AS duties,
    fees_amount AS fees,
    refund_amount + tax_amount + shipping_amount + duties_amount + fees_amount AS total_sales,
    tips_amount AS tips,
    gift_cards_amount AS gift_cards
  FROM @and_refunds
  WHERE
    refunded_at BETWEEN @start_ts AND @end_ts
) AS movements
GROUP BY
  sold_hour,
  business_date,
  business_hour,
  store_id,
  channel
HAVING
  SUM(orders) <> 0
  OR SUM(units) <> 0
  OR SUM(gross_sales) <> 0
  OR SUM(discounts) <> 0
  OR SUM(returns) <> 0
  OR SUM(net_sales) <> 0
  OR SUM(taxes) <> 0
  OR SUM(shipping) <> 0
  OR SUM(duties) <> 0
  OR SUM(fees) <> 0
  OR SUM(total_sales) <> 0
  OR SUM(tips) <> 0
  OR SUM(gift_cards) <> 0
