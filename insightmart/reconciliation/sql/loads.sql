-- Ties every load to its source, by the UTC date it was made as of: what the source said it has = what the load landed,
-- counted again in raw, + what was rejected. In rows, and in the entity's control column where the source added it up.
--
-- Shopify orders may change while they are read, and then leave the window that is read: up to a hundredth of them, and
-- five, are "edited meanwhile" and come with the next load.
--
-- Parameters, each with an example:
--   :date_from  '2026-03-01'::DATE  first business date
--   :day_after  '2026-03-09'::DATE  the day after the last date
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements loads
WITH landed AS (
  SELECT
    'oltp' AS source,
    'orders' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.oltp_orders
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'oltp' AS source,
    'order_lines' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.oltp_order_lines
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'oltp' AS source,
    'refunds' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.oltp_refunds
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'oltp' AS source,
    'customers' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.oltp_customers
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'oltp' AS source,
    'products' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.oltp_products
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'shopify' AS source,
    'orders' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.shopify_orders
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'shopify' AS source,
    'order_lines' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.shopify_order_lines
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'shopify' AS source,
    'refunds' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.shopify_refunds
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'shopify' AS source,
    'sales' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.shopify_sales
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'shopify' AS source,
    'sales_reports' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.shopify_sales_reports
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'shopify' AS source,
    'products' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.shopify_products
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'shopify' AS source,
    'inventory' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.shopify_inventory
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'stores' AS source,
    'inventory' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.stores_inventory
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'stores' AS source,
    'reference' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.stores_reference
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
  UNION ALL
  SELECT
    'stores' AS source,
    'tills' AS entity,
    _dlt_load_id AS load_id,
    COUNT(*) AS landed_rows
  FROM raw.stores_tills
  WHERE
    _loaded_at >= :date_from
  GROUP BY
    _dlt_load_id
), loads AS (
  SELECT
    l.source,
    l.entity,
    CAST(l.loaded_at AS DATE) AS load_date,
    l.source_count,
    l.source_sum,
    l.landed_sum,
    COALESCE(r.landed_rows, 0) AS landed_rows,
    COALESCE(l.rejected_rows, 0) AS rejected_rows
  FROM ops.loads AS l
  LEFT JOIN landed AS r
    ON r.source = l.source AND r.entity = l.entity AND r.load_id = l.load_id
  WHERE
    l.status IN ('loaded', 'empty')
    AND l.loaded_at >= :date_from
    AND l.loaded_at < :day_after
), compared AS (
  SELECT
    source,
    entity,
    load_date,
    'rows' AS measure,
    CAST(SUM(source_count) AS DECIMAL(38, 4)) AS source_total,
    CAST(SUM(landed_rows) AS DECIMAL(38, 4)) AS raw_total,
    CAST(SUM(rejected_rows) AS DECIMAL(38, 4)) AS rejected_rows,
    CAST(SUM(source_count - landed_rows - rejected_rows) AS DECIMAL(38, 4)) AS difference
  FROM loads
  WHERE
    NOT source_count IS NULL
  GROUP BY
    source,
    entity,
    load_date
  UNION ALL
  SELECT
    source,
    entity,
    load_date,
    'amount' AS measure,
    CAST(SUM(source_sum) AS DECIMAL(38, 4)) AS source_total,
    CAST(SUM(COALESCE(landed_sum, 0)) AS DECIMAL(38, 4)) AS raw_total,
    CAST(SUM(rejected_rows) AS DECIMAL(38, 4)) AS rejected_rows,
    CAST(SUM(source_sum - COALESCE(landed_sum, 0)) AS DECIMAL(38, 4)) AS difference
  FROM loads
  WHERE
    NOT source_sum IS NULL
  GROUP BY
    source,
    entity,
    load_date
)
SELECT
  source || '_' || entity AS entity,
  'loads' AS control,
  load_date AS business_date,
  NULL AS store_id,
  measure,
  source_total,
  raw_total,
  NULL AS core_total,
  NULL AS certified_total,
  NULL AS excluded_total,
  CASE WHEN measure = 'rows' THEN rejected_rows END AS quarantined_total,
  difference,
  CASE
    WHEN difference = 0
    THEN 'matched'
    WHEN measure = 'amount' AND rejected_rows > 0
    THEN 'quarantined'
    WHEN source = 'shopify' AND difference BETWEEN 1 AND source_total / 100 + 5
    THEN 'edited meanwhile'
    ELSE 'failed'
  END AS status
FROM compared
