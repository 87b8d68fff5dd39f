-- Ties the online shop's own sales report (ShopifyQL, by day of the company's zone) to what is certified of the shop, POS
-- included, for dates that are certified to their end. Gift cards and tips are no sales in either; discounts and returns
-- stand here as positive figures, fees are return fees and additional fees. A comparison's store_id is 0.
--
-- A difference is explained, never by itself but by the shop's ledger in staging, when exactly that is missing which
-- Shopify counts of cancelled orders ("cancelled": on the day of the sale, and reversed on the day of cancelling, as far
-- as the ledger has not reversed it), or of rows in quarantine besides ("quarantined"); when a cent is left ("rounded");
-- when the date waits to be restated ("correction open"); or when the report has not come, or has been read before an
-- order of its day was known or known to be deleted ("pending"). A missing report is one comparison, not nine.
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
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements shop_reports
WITH days AS (
  SELECT
    d.calendar_date AS business_date
  FROM certified.dim_dates AS d
  WHERE
    d.calendar_date BETWEEN :date_from AND :date_to
    AND d.calendar_date >= :start_date
    AND d.calendar_date < CAST(CONVERT_TIMEZONE('UTC', :company_timezone, :through) AS DATE)
), reports AS (
  SELECT
    business_date,
    gross_sales,
    -discounts AS discounts,
    -sales_reversals AS returns,
    net_sales,
    taxes,
    shipping_charges AS shipping,
    duties,
    return_fees + additional_fees AS fees,
    total_sales,
    _loaded_at
  FROM raw.shopify_sales_reports
  WHERE
    business_date BETWEEN :date_from AND :date_to
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY business_date ORDER BY _loaded_at DESC, _dlt_load_id DESC) = 1
), orders AS (
  SELECT
    o.order_id,
    NOT o.rule_ids IS NULL AS is_rejected,
    r.cancelled_at
  FROM staging._shopify_orders AS o
  INNER JOIN raw.shopify_orders AS r
    ON CAST(r.order_id AS VARCHAR) = o.order_id
    AND r._dlt_load_id = o.raw_load_id
    AND r.updated_at = o.source_updated_at
  WHERE
    o._loaded_at >= :loaded_from
    AND r._loaded_at >= :loaded_from
    AND NOT COALESCE(r.is_test, FALSE)
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY o.order_id
      ORDER BY o.source_updated_at DESC NULLS LAST, o.raw_load_id DESC, o.event_at
    ) = 1
), rejected_lines AS (
  SELECT DISTINCT
    order_id,
    line_number
  FROM staging._shopify_order_lines
  WHERE
    NOT rule_ids IS NULL AND _loaded_at >= :loaded_from
), rejected_refunds AS (
  SELECT DISTINCT
    order_id,
    refund_line_id AS sale_id
  FROM staging._shopify_refunds
  WHERE
    NOT rule_ids IS NULL AND _loaded_at >= :loaded_from
), ledger AS (
  /* sales that the report has and certified has not */
  SELECT
    s.order_id,
    o.cancelled_at,
    COALESCE(s.happened_at, s.counted_at) AS happened_at,
    CASE WHEN s.is_line AND NOT s.is_returned THEN s.gross_amount ELSE 0 END AS gross_sales,
    CASE WHEN s.is_line AND NOT s.is_returned THEN s.discount_amount ELSE 0 END AS discounts,
    CASE
      WHEN s.line_type IN ('PRODUCT', 'ADJUSTMENT')
      AND NOT (
        s.is_line AND NOT s.is_returned
      )
      THEN -s.net_amount
      ELSE 0
    END AS returns,
    s.tax_amount AS taxes,
    CASE WHEN s.line_type = 'SHIPPING' THEN s.net_amount ELSE 0 END AS shipping,
    CASE WHEN s.line_type = 'DUTY' THEN s.net_amount ELSE 0 END AS duties,
    CASE WHEN s.line_type IN ('FEE', 'ADDITIONAL_FEE') THEN s.net_amount ELSE 0 END AS fees
  FROM staging._shopify_sales AS s
  INNER JOIN orders AS o
    ON o.order_id = s.order_id
  LEFT JOIN rejected_lines AS l
    ON l.order_id = s.order_id
    AND l.line_number = CASE WHEN s.is_line THEN s.line_number END
  LEFT JOIN rejected_refunds AS f
    ON f.order_id = s.order_id AND f.sale_id = s.sale_id
  WHERE
    s._loaded_at >= :loaded_from
    AND (
      NOT o.cancelled_at IS NULL
      OR o.is_rejected
      OR NOT l.order_id IS NULL
      OR NOT f.order_id IS NULL
    )
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY s.order_id, s.agreement_id, s.sale_id
      ORDER BY s.source_updated_at DESC NULLS LAST, s.raw_load_id DESC, s.event_at
    ) = 1
), movements AS (
  SELECT
    'reported' AS side,
    business_date,
    gross_sales,
    discounts,
    returns,
    taxes,
    shipping,
    duties,
    fees,
    net_sales,
    total_sales
  FROM reports
  UNION ALL
  SELECT
    'certified' AS side,
    CASE
      WHEN store_id = 0
      THEN business_date
      ELSE CAST(CONVERT_TIMEZONE('UTC', :company_timezone, sold_hour) AS DATE)
    END AS business_date,
    gross_sales,
    discounts,
    returns,
    taxes,
    shipping,
    duties,
    fees,
    net_sales,
    total_sales
  FROM certified.agg_sales_hourly__shopify
  WHERE
    sold_hour >= :events_from AND sold_hour < :events_to
  UNION ALL
  SELECT
    CASE WHEN cancelled_at IS NULL THEN 'rejected' ELSE 'cancelled' END AS side,
    CAST(CONVERT_TIMEZONE('UTC', :company_timezone, happened_at) AS DATE) AS business_date,
    gross_sales,
    discounts,
    returns,
    taxes,
    shipping,
    duties,
    fees,
    gross_sales - discounts - returns AS net_sales,
    gross_sales - discounts - returns + taxes + shipping + duties + fees AS total_sales
  FROM ledger
  UNION ALL
  /* what is left of a cancelled order is reversed on the day of cancelling, goods as returns */
  SELECT
    'cancelled' AS side,
    CAST(CONVERT_TIMEZONE('UTC', :company_timezone, cancelled_at) AS DATE) AS business_date,
    0 AS gross_sales,
    0 AS discounts,
    gross_sales - discounts - returns AS returns,
    -taxes AS taxes,
    -shipping AS shipping,
    -duties AS duties,
    -fees AS fees,
    returns + discounts - gross_sales AS net_sales,
    returns + discounts - gross_sales - taxes - shipping - duties - fees AS total_sales
  FROM ledger
  WHERE
    NOT cancelled_at IS NULL
), compared AS (
  SELECT
    business_date,
    measure,
    CAST(SUM(CASE WHEN side = 'reported' THEN amount END) AS DECIMAL(38, 4)) AS reported,
    CAST(SUM(CASE WHEN side = 'certified' THEN amount ELSE 0 END) AS DECIMAL(38, 4)) AS certified,
    CAST(SUM(CASE WHEN side = 'cancelled' THEN amount ELSE 0 END) AS DECIMAL(38, 4)) AS cancelled,
    CAST(SUM(CASE WHEN side = 'rejected' THEN amount ELSE 0 END) AS DECIMAL(38, 4)) AS rejected
  FROM (
    SELECT
      d.business_date,
      c.measure,
      v.side,
      CASE c.measure
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
        WHEN 'duties'
        THEN v.duties
        WHEN 'fees'
        THEN v.fees
        WHEN 'total_sales'
        THEN v.total_sales
      END AS amount
    FROM days AS d
    CROSS JOIN (VALUES
      ('gross_sales'),
      ('discounts'),
      ('returns'),
      ('net_sales'),
      ('taxes'),
      ('shipping'),
      ('duties'),
      ('fees'),
      ('total_sales')) AS c(measure)
    LEFT JOIN movements AS v
      ON v.business_date = d.business_date
  ) AS measured
  GROUP BY
    business_date,
    measure
), first_seen AS (
  SELECT
    order_id,
    sale_id,
    MIN(happened_at) AS happened_at,
    MIN(_loaded_at) AS first_loaded_at
  FROM raw.shopify_sales
  WHERE
    happened_at >= :events_from
    AND happened_at < :events_to
    AND _loaded_at >= :loaded_from
  GROUP BY
    order_id,
    sale_id
), deleted AS (
  SELECT
    order_id,
    MAX(_loaded_at) AS deleted_loaded_at
  FROM raw.shopify_orders
  WHERE
    NOT _deleted_at IS NULL AND _loaded_at >= :loaded_from
  GROUP BY
    order_id
), changed AS (
  /* business dates with a sale that the report is older than, or than the news that its order is deleted */
  SELECT DISTINCT
    r.business_date
  FROM first_seen AS s
  INNER JOIN reports AS r
    ON r.business_date = CAST(CONVERT_TIMEZONE('UTC', :company_timezone, s.happened_at) AS DATE)
  LEFT JOIN deleted AS d
    ON d.order_id = s.order_id
  WHERE
    s.first_loaded_at > r._loaded_at OR d.deleted_loaded_at > r._loaded_at
), corrected AS (
  /* business dates that an open correction window may change */
  SELECT DISTINCT
    d.business_date
  FROM days AS d
  INNER JOIN ops.correction_windows AS w
    ON w.window_start < CAST(d.business_date AS TIMESTAMPNTZ) + INTERVAL '36 HOURS'
    AND w.window_end > CAST(d.business_date AS TIMESTAMPNTZ) - INTERVAL '14 HOURS'
  WHERE
    w.status = 'open'
    AND w.window_end > :events_from
    AND w.window_start < :events_to
    AND (
      (
        w.source = 'shopify' AND w.entity = 'sales'
      ) OR w.source = 'manual'
    )
)
SELECT
  'shopify_sales_reports' AS entity,
  'shop_reports' AS control,
  t.business_date,
  0 AS store_id,
  t.measure,
  t.reported AS source_total,
  NULL AS raw_total,
  NULL AS core_total,
  t.certified AS certified_total,
  t.cancelled AS excluded_total,
  t.rejected AS quarantined_total,
  COALESCE(t.reported - t.certified, 0) AS difference,
  CASE
    WHEN t.reported IS NULL
    THEN 'pending'
    WHEN t.reported - t.certified = t.cancelled + t.rejected AND t.rejected <> 0
    THEN 'quarantined'
    WHEN t.reported - t.certified = t.cancelled + t.rejected AND t.cancelled <> 0
    THEN 'cancelled'
    WHEN t.reported = t.certified + t.cancelled + t.rejected
    THEN 'matched'
    WHEN ABS(t.reported - t.certified - t.cancelled - t.rejected) <= 0.01
    THEN 'rounded'
    WHEN NOT w.business_date IS NULL
    THEN 'correction open'
    WHEN NOT c.business_date IS NULL
    THEN 'pending'
    ELSE 'failed'
  END AS status
FROM compared AS t
LEFT JOIN corrected AS w
  ON w.business_date = t.business_date
LEFT JOIN changed AS c
  ON c.business_date = t.business_date
WHERE
  NOT t.reported IS NULL OR t.measure = 'total_sales'
