-- Ties the certified sales tables to each other, by business date, store and channel (entity sales_CHANNEL), in every
-- measure: orders and added lines less refunds (source_total) = hours (core_total) = days (certified_total).
--
-- Parameters, each with an example:
--   :date_from    '2026-03-01'::DATE                first business date
--   :date_to      '2026-03-08'::DATE                last business date
--   :events_from  '2026-02-28 10:00'::TIMESTAMPNTZ  before the first business date begins anywhere on earth, UTC
--   :events_to    '2026-03-09 12:00'::TIMESTAMPNTZ  after the last business date has ended everywhere, UTC
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements levels
WITH movements AS (
  SELECT
    business_date,
    store_id,
    channel,
    CASE WHEN line_count = 0 AND returned_amount > 0 THEN 0 ELSE 1 END AS orders, /* goods given back only: no order */
    units,
    gross_sales,
    discount_amount AS discounts,
    0 AS returns,
    tax_amount AS taxes,
    shipping_amount AS shipping,
    duties_amount AS duties,
    fees_amount AS fees,
    tips_amount AS tips,
    gift_cards_amount AS gift_cards
  FROM certified.fct_orders
  WHERE
    business_date BETWEEN :date_from AND :date_to
    AND ordered_at >= :events_from
    AND ordered_at < :events_to
  UNION ALL
  SELECT
    business_date,
    store_id,
    channel,
    0 AS orders,
    quantity AS units,
    gross_sales,
    discount_amount AS discounts,
    0 AS returns,
    tax_amount AS taxes,
    0 AS shipping,
    0 AS duties,
    0 AS fees,
    0 AS tips,
    0 AS gift_cards
  FROM certified.fct_order_lines
  WHERE
    is_added
    AND business_date BETWEEN :date_from AND :date_to
    AND sold_at >= :events_from
    AND sold_at < :events_to
  UNION ALL
  SELECT
    business_date,
    store_id,
    channel,
    0 AS orders,
    0 AS units,
    0 AS gross_sales,
    0 AS discounts,
    refund_amount AS returns,
    -tax_amount AS taxes,
    -shipping_amount AS shipping,
    -duties_amount AS duties,
    -fees_amount AS fees,
    -tips_amount AS tips,
    -gift_cards_amount AS gift_cards
  FROM certified.fct_refunds
  WHERE
    business_date BETWEEN :date_from AND :date_to
    AND refunded_at >= :events_from
    AND refunded_at < :events_to
), levels AS (
  SELECT
    'order' AS level,
    business_date,
    store_id,
    channel,
    CAST(SUM(orders) AS DECIMAL(38, 4)) AS orders,
    CAST(SUM(units) AS DECIMAL(38, 4)) AS units,
    CAST(SUM(gross_sales) AS DECIMAL(38, 4)) AS gross_sales,
    CAST(SUM(discounts) AS DECIMAL(38, 4)) AS discounts,
    CAST(SUM(returns) AS DECIMAL(38, 4)) AS returns,
    CAST(SUM(gross_sales - discounts - returns) AS DECIMAL(38, 4)) AS net_sales,
    CAST(SUM(taxes) AS DECIMAL(38, 4)) AS taxes,
    CAST(SUM(shipping) AS DECIMAL(38, 4)) AS shipping,
    CAST(SUM(duties) AS DECIMAL(38, 4)) AS duties,
    CAST(SUM(fees) AS DECIMAL(38, 4)) AS fees,
    CAST(SUM(gross_sales - discounts - returns + taxes + shipping + duties + fees) AS DECIMAL(38, 4)) AS total_sales,
    CAST(SUM(tips) AS DECIMAL(38, 4)) AS tips,
    CAST(SUM(gift_cards) AS DECIMAL(38, 4)) AS gift_cards
  FROM movements
  GROUP BY
    business_date,
    store_id,
    channel
  UNION ALL
  SELECT
    'hour' AS level,
    business_date,
    store_id,
    channel,
    CAST(SUM(orders) AS DECIMAL(38, 4)) AS orders,
    CAST(SUM(units) AS DECIMAL(38, 4)) AS units,
    CAST(SUM(gross_sales) AS DECIMAL(38, 4)) AS gross_sales,
    CAST(SUM(discounts) AS DECIMAL(38, 4)) AS discounts,
    CAST(SUM(returns) AS DECIMAL(38, 4)) AS returns,
    CAST(SUM(net_sales) AS DECIMAL(38, 4)) AS net_sales,
    CAST(SUM(taxes) AS DECIMAL(38, 4)) AS taxes,
    CAST(SUM(shipping) AS DECIMAL(38, 4)) AS shipping,
    CAST(SUM(duties) AS DECIMAL(38, 4)) AS duties,
    CAST(SUM(fees) AS DECIMAL(38, 4)) AS fees,
    CAST(SUM(total_sales) AS DECIMAL(38, 4)) AS total_sales,
    CAST(SUM(tips) AS DECIMAL(38, 4)) AS tips,
    CAST(SUM(gift_cards) AS DECIMAL(38, 4)) AS gift_cards
  FROM certified.agg_sales_hourly
  WHERE
    business_date BETWEEN :date_from AND :date_to
  GROUP BY
    business_date,
    store_id,
    channel
  UNION ALL
  SELECT
    'day' AS level,
    business_date,
    store_id,
    channel,
    CAST(SUM(orders) AS DECIMAL(38, 4)) AS orders,
    CAST(SUM(units) AS DECIMAL(38, 4)) AS units,
    CAST(SUM(gross_sales) AS DECIMAL(38, 4)) AS gross_sales,
    CAST(SUM(discounts) AS DECIMAL(38, 4)) AS discounts,
    CAST(SUM(returns) AS DECIMAL(38, 4)) AS returns,
    CAST(SUM(net_sales) AS DECIMAL(38, 4)) AS net_sales,
    CAST(SUM(taxes) AS DECIMAL(38, 4)) AS taxes,
    CAST(SUM(shipping) AS DECIMAL(38, 4)) AS shipping,
    CAST(SUM(duties) AS DECIMAL(38, 4)) AS duties,
    CAST(SUM(fees) AS DECIMAL(38, 4)) AS fees,
    CAST(SUM(total_sales) AS DECIMAL(38, 4)) AS total_sales,
    CAST(SUM(tips) AS DECIMAL(38, 4)) AS tips,
    CAST(SUM(gift_cards) AS DECIMAL(38, 4)) AS gift_cards
  FROM certified.agg_sales_daily
  WHERE
    business_date BETWEEN :date_from AND :date_to
  GROUP BY
    business_date,
    store_id,
    channel
), measures AS (
  SELECT
    v.level,
    v.business_date,
    v.store_id,
    v.channel,
    m.measure,
    CASE m.measure
      WHEN 'orders'
      THEN v.orders
      WHEN 'units'
      THEN v.units
      WHEN 'gross_sales'
      THEN v.gross_sales
      WHEN 'discounts'
      THEN v.discounts
      WHEN 'returns'
      THEN v.returns
      WHEN 'net_sales'
      THEN v.net_sales
      WHEN 'taxes'
      THEN v.taxes
      WHEN 'shipping'
      THEN v.shipping
      WHEN 'total_sales'
      THEN v.total_sales
      WHEN 'duties'
      THEN v.duties
      WHEN 'fees'
      THEN v.fees
      WHEN 'tips'
      THEN v.tips
      WHEN 'gift_cards'
      THEN v.gift_cards
    END AS total
  FROM levels AS v
  CROSS JOIN (VALUES
    ('orders'),
    ('units'),
    ('gross_sales'),
    ('discounts'),
    ('returns'),
    ('net_sales'),
    ('taxes'),
    ('shipping'),
    ('total_sales'),
    ('duties'),
    ('fees'),
    ('tips'),
    ('gift_cards')) AS m(measure)
), compared AS (
  SELECT
    business_date,
    store_id,
    channel,
    measure,
    CAST(SUM(CASE WHEN level = 'order' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS source_total,
    CAST(SUM(CASE WHEN level = 'hour' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS core_total,
    CAST(SUM(CASE WHEN level = 'day' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS certified_total
  FROM measures
  GROUP BY
    business_date,
    store_id,
    channel,
    measure
)
SELECT
  'sales_' || channel AS entity,
  'levels' AS control,
  business_date,
  store_id,
  measure,
  source_total,
  NULL AS raw_total,
  core_total,
  certified_total,
  NULL AS excluded_total,
  NULL AS quarantined_total,
  CASE
    WHEN source_total <> core_total
    THEN source_total - core_total
    ELSE core_total - certified_total
  END AS difference,
  CASE
    WHEN source_total = core_total AND core_total = certified_total
    THEN 'matched'
    ELSE 'failed'
  END AS status
FROM compared
