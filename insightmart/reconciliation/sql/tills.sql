-- Ties the stores' own closing figures to certified sales of channel "store": of every store that is open on a business
-- date, for dates that ended there before :through.
--
-- A difference is explained when exactly the rows in quarantine are missing ("quarantined"), when the date waits to be
-- restated ("correction open"), or when the till has not come, or not again after a late change, or knows more than the
-- orders, which were not read since it came ("pending"). A missing till is one comparison, not five.
--
-- Parameters, each with an example:
--   :start_date        '2026-01-01'::DATE                first day of history (INSIGHTMART_START)
--   :company_timezone  'America/New_York'                the company's zone (INSIGHTMART_TIMEZONE)
--   :date_from         '2026-03-01'::DATE                first business date
--   :date_to           '2026-03-08'::DATE                last business date
--   :events_from       '2026-02-28 10:00'::TIMESTAMPNTZ  before the first business date begins anywhere on earth, UTC
--   :events_to         '2026-03-09 12:00'::TIMESTAMPNTZ  after the last business date has ended everywhere, UTC
--   :loaded_from       '2026-02-27 10:00'::TIMESTAMPNTZ  rows of these dates were not loaded earlier, UTC
--   :through           '2026-03-08 10:00'::TIMESTAMPNTZ  what happened before it is certified, UTC
--   :till_again        '2026-03-08 07:30'::TIMESTAMPNTZ  a store may still send a new till for what changed since, UTC
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements tills
WITH certified_until AS (
  SELECT
    :through AS instant
), days AS (
  SELECT
    s.store_id,
    d.calendar_date AS business_date
  FROM certified_until AS u
  CROSS JOIN certified.dim_stores AS s
  INNER JOIN certified.dim_dates AS d
    ON CAST(d.calendar_date AS TIMESTAMPNTZ) >= s.valid_from
    AND CAST(d.calendar_date AS TIMESTAMPNTZ) < s.valid_to
  WHERE
    s.store_id > 0
    AND d.calendar_date BETWEEN :date_from AND :date_to
    AND d.calendar_date >= :start_date
    AND (
      s.opened_on IS NULL OR d.calendar_date >= s.opened_on
    )
    AND (
      s.closed_on IS NULL OR d.calendar_date < s.closed_on
    )
    AND d.calendar_date < CAST(CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, :company_timezone), u.instant) AS DATE)
), rejected_movements AS (
  /* what the quarantine keeps out of a store's figures; a refund waits there with its order */
  SELECT
    CAST(CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, :company_timezone), o.ordered_at) AS DATE) AS business_date,
    o.store_id,
    1 AS transactions,
    0 AS gross_sales,
    COALESCE(o.discount_amount, 0) AS discounts,
    0 AS returns
  FROM staging._oltp_orders AS o
  LEFT JOIN core.dim_stores AS s
    ON s.store_id = o.store_id
    AND o.ordered_at >= s.valid_from
    AND o.ordered_at < s.valid_to
  WHERE
    NOT o.rule_ids IS NULL
    AND o.event_at >= :events_from
    AND o.event_at < :events_to
    AND o.ordered_at >= :events_from
    AND o.ordered_at < :events_to
    AND o.channel = 'store'
    AND o.is_counted
  UNION ALL
  SELECT
    CAST(CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, :company_timezone), o.ordered_at) AS DATE) AS business_date,
    o.store_id,
    0 AS transactions,
    CASE WHEN l.quantity > 0 THEN COALESCE(l.quantity * l.unit_price, 0) ELSE 0 END AS gross_sales,
    0 AS discounts,
    CASE
      WHEN l.quantity < 0
      THEN COALESCE(ABS(l.quantity) * l.unit_price - ABS(l.discount_amount), 0)
      ELSE 0
    END AS returns
  FROM staging._oltp_order_lines AS l
  INNER JOIN staging._oltp_orders AS o
    ON o.order_id = l.order_id
  LEFT JOIN core.dim_stores AS s
    ON s.store_id = o.store_id
    AND o.ordered_at >= s.valid_from
    AND o.ordered_at < s.valid_to
  WHERE
    NOT l.rule_ids IS NULL
    AND l.event_at >= :events_from
    AND l.event_at < :events_to
    AND o.event_at >= :events_from
    AND o.event_at < :events_to
    AND o.ordered_at >= :events_from
    AND o.ordered_at < :events_to
    AND o.channel = 'store'
    AND o.is_counted
  UNION ALL
  SELECT
    CAST(CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, :company_timezone), r.refunded_at) AS DATE) AS business_date,
    r.store_id,
    0 AS transactions,
    0 AS gross_sales,
    0 AS discounts,
    COALESCE(r.refund_amount, 0) AS returns
  FROM staging._oltp_refunds AS r
  LEFT JOIN core.dim_stores AS s
    ON s.store_id = r.store_id
    AND r.refunded_at >= s.valid_from
    AND r.refunded_at < s.valid_to
  WHERE
    NOT r.rule_ids IS NULL
    AND r.event_at >= :events_from
    AND r.event_at < :events_to
    AND r.refunded_at >= :events_from
    AND r.refunded_at < :events_to
    AND r.channel = 'store'
    AND r.is_counted
), rejected AS (
  SELECT
    business_date,
    store_id,
    CAST(SUM(transactions) AS DECIMAL(38, 4)) AS transactions,
    CAST(SUM(gross_sales) AS DECIMAL(38, 4)) AS gross_sales,
    CAST(SUM(discounts) AS DECIMAL(38, 4)) AS discounts,
    CAST(SUM(returns) AS DECIMAL(38, 4)) AS returns,
    CAST(SUM(gross_sales - discounts - returns) AS DECIMAL(38, 4)) AS net_sales
  FROM rejected_movements
  GROUP BY
    business_date,
    store_id
), changed_orders AS (
  SELECT
    order_id
  FROM raw.oltp_orders
  WHERE
    _loaded_at >= :till_again AND updated_at >= :till_again
  UNION
  SELECT
    order_id
  FROM raw.oltp_order_lines
  WHERE
    _loaded_at >= :till_again AND updated_at >= :till_again
), changed_refunds AS (
  SELECT
    refund_id,
    refunded_at
  FROM raw.oltp_refunds
  WHERE
    _loaded_at >= :till_again AND updated_at >= :till_again
), changed_minutes AS (
  /* By the minute before by the date: a local date costs more than all the rest, and within a minute there is one. */
  SELECT
    o.store_id,
    DATE_TRUNC('MINUTE', o.ordered_at) AS minute_at
  FROM raw.oltp_orders AS o
  INNER JOIN changed_orders AS c
    ON c.order_id = o.order_id
  WHERE
    o._loaded_at >= :loaded_from
    AND o.ordered_at >= :events_from
    AND o.ordered_at < :events_to
  UNION
  SELECT
    o.store_id,
    DATE_TRUNC('MINUTE', r.refunded_at) AS minute_at
  FROM changed_refunds AS r
  INNER JOIN staging._oltp_refunds AS o
    ON o.refund_id = CAST(r.refund_id AS VARCHAR)
  WHERE
    o.event_at >= :events_from AND o.event_at < :events_to
), changed AS (
  /* stores and business dates whose sales changed so lately that a new till may come */
  SELECT DISTINCT
    m.store_id,
    CAST(CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, :company_timezone), m.minute_at) AS DATE) AS business_date
  FROM changed_minutes AS m
  LEFT JOIN core.dim_stores AS s
    ON s.store_id = m.store_id
    AND m.minute_at >= s.valid_from
    AND m.minute_at < s.valid_to
), orders_read AS (
  SELECT
    MIN(updated_at) AS instant
  FROM ops.source_watermarks
  WHERE
    source = 'oltp' AND entity IN ('orders', 'order_lines', 'refunds')
), store_days AS (
  SELECT
    d.business_date,
    d.store_id,
    t.store_id IS NULL AS no_till,
    NOT changed.store_id IS NULL AS is_changed,
    t._loaded_at > r.instant AS is_ahead,
    CAST(t.transactions AS DECIMAL(38, 4)) AS till_transactions,
    CAST(t.gross_sales AS DECIMAL(38, 4)) AS till_gross_sales,
    CAST(t.discounts AS DECIMAL(38, 4)) AS till_discounts,
    CAST(t.returns AS DECIMAL(38, 4)) AS till_returns,
    CAST(t.net_sales AS DECIMAL(38, 4)) AS till_net_sales,
    CAST(COALESCE(a.orders, 0) AS DECIMAL(38, 4)) AS sales_transactions,
    CAST(COALESCE(a.gross_sales, 0) AS DECIMAL(38, 4)) AS sales_gross_sales,
    CAST(COALESCE(a.discounts, 0) AS DECIMAL(38, 4)) AS sales_discounts,
    CAST(COALESCE(a.returns, 0) AS DECIMAL(38, 4)) AS sales_returns,
    CAST(COALESCE(a.net_sales, 0) AS DECIMAL(38, 4)) AS sales_net_sales,
    CAST(COALESCE(q.transactions, 0) AS DECIMAL(38, 4)) AS rejected_transactions,
    CAST(COALESCE(q.gross_sales, 0) AS DECIMAL(38, 4)) AS rejected_gross_sales,
    CAST(COALESCE(q.discounts, 0) AS DECIMAL(38, 4)) AS rejected_discounts,
    CAST(COALESCE(q.returns, 0) AS DECIMAL(38, 4)) AS rejected_returns,
    CAST(COALESCE(q.net_sales, 0) AS DECIMAL(38, 4)) AS rejected_net_sales
  FROM days AS d
  CROSS JOIN orders_read AS r
  LEFT JOIN staging.stores_tills AS t
    ON t.store_id = d.store_id
    AND t.business_date = d.business_date
    AND t.business_date BETWEEN :date_from AND :date_to
  LEFT JOIN certified.agg_sales_daily AS a
    ON a.store_id = d.store_id
    AND a.business_date = d.business_date
    AND a.channel = 'store'
    AND a.business_date BETWEEN :date_from AND :date_to
  LEFT JOIN rejected AS q
    ON q.store_id = d.store_id AND q.business_date = d.business_date
  LEFT JOIN changed
    ON changed.store_id = d.store_id AND changed.business_date = d.business_date
), compared AS (
  SELECT
    c.business_date,
    c.store_id,
    c.no_till,
    c.is_changed,
    c.is_ahead,
    m.measure,
    CASE m.measure
      WHEN 'transactions'
      THEN c.till_transactions
      WHEN 'gross_sales'
      THEN c.till_gross_sales
      WHEN 'discounts'
      THEN c.till_discounts
      WHEN 'returns'
      THEN c.till_returns
      WHEN 'net_sales'
      THEN c.till_net_sales
    END AS till,
    CASE m.measure
      WHEN 'transactions'
      THEN c.sales_transactions
      WHEN 'gross_sales'
      THEN c.sales_gross_sales
      WHEN 'discounts'
      THEN c.sales_discounts
      WHEN 'returns'
      THEN c.sales_returns
      WHEN 'net_sales'
      THEN c.sales_net_sales
    END AS sales,
    CASE m.measure
      WHEN 'transactions'
      THEN c.rejected_transactions
      WHEN 'gross_sales'
      THEN c.rejected_gross_sales
      WHEN 'discounts'
      THEN c.rejected_discounts
      WHEN 'returns'
      THEN c.rejected_returns
      WHEN 'net_sales'
      THEN c.rejected_net_sales
    END AS rejected
  FROM store_days AS c
  CROSS JOIN (VALUES
    ('transactions'),
    ('gross_sales'),
    ('discounts'),
    ('returns'),
    ('net_sales')) AS m(measure)
), corrected AS (
  /* business dates that an open correction window may change */
  SELECT DISTINCT
    dates.business_date
  FROM (
    SELECT DISTINCT
      business_date
    FROM store_days
  ) AS dates
  INNER JOIN ops.correction_windows AS w
    ON w.window_start < CAST(dates.business_date AS TIMESTAMPNTZ) + INTERVAL '36 HOURS'
    AND w.window_end > CAST(dates.business_date AS TIMESTAMPNTZ) - INTERVAL '14 HOURS'
  WHERE
    w.status = 'open'
    AND w.window_end > :events_from
    AND w.window_start < :events_to
    AND (
      (
        w.source = 'oltp' AND w.entity = 'sales'
      ) OR w.source = 'manual'
    )
)
SELECT
  'stores_tills' AS entity,
  'tills' AS control,
  t.business_date,
  t.store_id,
  t.measure,
  t.till AS source_total,
  NULL AS raw_total,
  NULL AS core_total,
  t.sales AS certified_total,
  NULL AS excluded_total,
  t.rejected AS quarantined_total,
  COALESCE(t.till - t.sales, 0) AS difference,
  CASE
    WHEN t.no_till
    THEN 'pending'
    WHEN t.till = t.sales
    THEN 'matched'
    WHEN t.till - t.sales = t.rejected
    THEN 'quarantined'
    WHEN NOT c.business_date IS NULL
    THEN 'correction open'
    WHEN t.is_changed OR t.is_ahead
    THEN 'pending'
    ELSE 'failed'
  END AS status
FROM compared AS t
LEFT JOIN corrected AS c
  ON c.business_date = t.business_date
WHERE
  NOT t.no_till OR t.measure = 'transactions'
