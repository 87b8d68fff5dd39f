-- Ties the total that every certified order states to what its parts come to (goods, discounts, returns on the order,
-- taxes, shipping, duties, fees, tips, gift cards), by source, business date and store: in money, and in the number of orders that state a total and come
-- to it exactly. An order that differs by more than its rule allows is in quarantine (total_contradicts_lines); what is
-- certified and differs by cents is "rounded", which is counted and shown.
--
-- Parameters, each with an example:
--   :date_from    '2026-03-01'::DATE                first business date
--   :date_to      '2026-03-08'::DATE                last business date
--   :events_from  '2026-02-28 10:00'::TIMESTAMPNTZ  before the first business date begins anywhere on earth, UTC
--   :events_to    '2026-03-09 12:00'::TIMESTAMPNTZ  after the last business date has ended everywhere, UTC
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements order_totals
WITH orders AS (
  SELECT
    source_system,
    business_date,
    store_id,
    total_amount,
    gross_sales - discount_amount - returned_amount + tax_amount + shipping_amount + duties_amount + fees_amount + tips_amount + gift_cards_amount AS parts_amount
  FROM certified.fct_orders
  WHERE
    business_date BETWEEN :date_from AND :date_to
    AND ordered_at >= :events_from
    AND ordered_at < :events_to
), totals AS (
  SELECT
    source_system,
    business_date,
    store_id,
    CAST(SUM(total_amount) AS DECIMAL(38, 4)) AS stated_amount,
    CAST(SUM(parts_amount) AS DECIMAL(38, 4)) AS parts_amount,
    CAST(COUNT(*) AS DECIMAL(38, 4)) AS stated_orders,
    CAST(COUNT(CASE WHEN total_amount = parts_amount THEN 1 END) AS DECIMAL(38, 4)) AS exact_orders,
    MAX(ABS(total_amount - parts_amount)) AS largest_gap
  FROM orders
  GROUP BY
    source_system,
    business_date,
    store_id
), measures AS (
  SELECT
    t.source_system,
    t.business_date,
    t.store_id,
    t.largest_gap,
    m.measure,
    CASE m.measure WHEN 'amount' THEN t.stated_amount ELSE t.stated_orders END AS source_total,
    CASE m.measure WHEN 'amount' THEN t.parts_amount ELSE t.exact_orders END AS certified_total
  FROM totals AS t
  CROSS JOIN (VALUES
    ('amount'),
    ('orders')) AS m(measure)
)
SELECT
  source_system || '_orders' AS entity,
  'order_totals' AS control,
  business_date,
  store_id,
  measure,
  source_total,
  NULL AS raw_total,
  NULL AS core_total,
  certified_total,
  NULL AS excluded_total,
  NULL AS quarantined_total,
  source_total - certified_total AS difference,
  CASE
    WHEN largest_gap = 0
    THEN 'matched'
    WHEN largest_gap <= 0.05
    THEN 'rounded'
    ELSE 'tolerated'
  END AS status
FROM measures
