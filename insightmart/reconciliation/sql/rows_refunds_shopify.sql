-- What is to be counted of refunds of Shopify, layer by layer: latest version in raw; accepted, excluded or quarantined
-- in staging; core; certified. Excluded are refunds of cancelled and test orders.
--
-- count_hours.sql adds the rows up by hour, and rows.sql compares. business_date NULL: the date that the event has where
-- its store stood then. The rules that decide which raw rows count, and when they happened, are stated here once more,
-- apart from the models: a control that asked them would repeat their mistakes. Tests hold both against each other. A
-- store_id of -1 stands for a store that is not known, 0 for the online shop.
--
-- Parameters, each with an example:
--   :history_start  '2026-01-01'::TIMESTAMPNTZ        first instant of history, UTC (INSIGHTMART_START)
--   :events_from    '2026-03-05 09:00'::TIMESTAMPNTZ  first instant that is compared, a whole hour, UTC
--   :events_to      '2026-03-05 10:00'::TIMESTAMPNTZ  first instant that is not, a whole hour, UTC
--   :loaded_from    '2026-03-04 09:00'::TIMESTAMPNTZ  rows of these hours were not loaded earlier, UTC
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements rows_refunds_shopify
WITH deleted AS (
  SELECT
    order_id,
    MAX(_dlt_load_id) AS load_id
  FROM raw.shopify_orders
  WHERE
    NOT _deleted_at IS NULL AND _loaded_at >= :loaded_from
  GROUP BY
    order_id
), raw_orders AS (
  SELECT
    r.order_id,
    updated_at AS version_at,
    _dlt_load_id AS load_id,
    CASE
      WHEN COALESCE(processed_at, created_at) >= :history_start
      AND COALESCE(processed_at, created_at) <= CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END + INTERVAL '1 DAY'
      THEN COALESCE(processed_at, created_at)
      WHEN CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END > :history_start
      THEN CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END
      ELSE :history_start
    END AS event_at
  FROM raw.shopify_orders AS r
  LEFT JOIN deleted AS d
    ON d.order_id = r.order_id
  WHERE
    _loaded_at >= :loaded_from
    AND (
      d.load_id IS NULL OR d.load_id < r._dlt_load_id
    ) /* deleted up to its tombstone */
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY r.order_id
      ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC
    ) = 1
), raw_sales AS (
  /* sales come with a version of their order: those of the latest one count */
  SELECT
    r.order_id,
    COALESCE(CAST(r.refund_id AS VARCHAR), 'agreement:' || CAST(r.agreement_id AS VARCHAR)) AS refund_id,
    CASE
      WHEN r.line_type = 'PRODUCT' AND r.action_type <> 'UPDATE'
      THEN r.line_item_id
    END AS line_number,
    CASE
      WHEN r.line_type IN ('PRODUCT', 'ADJUSTMENT')
      THEN CAST(COALESCE(r.tax_amount, 0) AS DECIMAL(38, 4)) - CAST(COALESCE(r.total_amount, 0) AS DECIMAL(38, 4))
      ELSE 0
    END AS amount,
    v.event_at AS ordered_event_at,
    CASE
      WHEN r.happened_at >= :history_start
      AND r.happened_at <= CASE
        WHEN r.order_updated_at <= r._loaded_at
        THEN r.order_updated_at
        ELSE r._loaded_at
      END + INTERVAL '1 DAY'
      THEN r.happened_at
      WHEN CASE
        WHEN r.order_updated_at <= r._loaded_at
        THEN r.order_updated_at
        ELSE r._loaded_at
      END > :history_start
      THEN CASE
        WHEN r.order_updated_at <= r._loaded_at
        THEN r.order_updated_at
        ELSE r._loaded_at
      END
      ELSE :history_start
    END AS happened_event_at
  FROM raw.shopify_sales AS r
  INNER JOIN raw_orders AS v
    ON v.order_id = r.order_id
    AND v.load_id = r._dlt_load_id
    AND v.version_at = r.order_updated_at
  WHERE
    r._loaded_at >= :loaded_from
    AND COALESCE(r.reason <> 'ORDER', TRUE)
    AND (
      r.total_amount <> 0 OR r.tax_amount <> 0 OR r.quantity <> 0
    )
    AND NOT COALESCE(
      r.line_type = 'PRODUCT'
      AND r.action_type = 'ORDER'
      AND r.quantity > 0
      AND r.total_amount >= r.tax_amount,
      FALSE
    ) /* what an edit added is a sale */
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY r.order_id, r.agreement_id, r.sale_id ORDER BY r.happened_at) = 1
), raw_refunds AS (
  /* a row a refund and line: what was given back beside lines is one row, too */
  SELECT
    order_id,
    CASE
      WHEN happened_event_at < ordered_event_at
      THEN ordered_event_at
      ELSE happened_event_at
    END AS event_at,
    SUM(amount) AS amount
  FROM raw_sales
  GROUP BY
    order_id,
    refund_id,
    line_number,
    2
), staged AS (
  SELECT
    'shopify_refunds' AS entity,
    MAX(rule_ids) AS rule_ids,
    MAX(CASE WHEN is_counted THEN 1 ELSE 0 END) = 1 AS is_counted,
    event_at,
    order_id,
    COALESCE(store_id, -1) AS store_id,
    SUM(refund_amount) AS amount
  FROM staging._shopify_refunds
  WHERE
    event_at >= :events_from AND event_at < :events_to
  GROUP BY
    order_id,
    refund_id,
    line_number,
    event_at,
    COALESCE(store_id, -1),
    rule_ids IS NULL
), orders AS (
  /* which store a POS location stands for is a setting, which staging looked up */
  SELECT
    order_id,
    MAX(store_id) AS store_id
  FROM staged
  GROUP BY
    order_id
)
SELECT
  'shopify_refunds' AS entity,
  'raw' AS layer,
  r.event_at,
  CAST(NULL AS DATE) AS business_date,
  COALESCE(o.store_id, 0) AS store_id,
  CAST(COALESCE(r.amount, 0) AS DECIMAL(38, 4)) AS amount
FROM raw_refunds AS r
LEFT JOIN orders AS o
  ON o.order_id = CAST(r.order_id AS VARCHAR)
UNION ALL
SELECT
  entity,
  CASE
    WHEN NOT rule_ids IS NULL
    THEN 'quarantined'
    WHEN is_counted
    THEN 'accepted'
    ELSE 'excluded'
  END AS layer,
  event_at,
  NULL AS business_date,
  store_id,
  amount
FROM staged
UNION ALL
SELECT
  'shopify_refunds' AS entity,
  'core' AS layer,
  refunded_at AS event_at,
  business_date,
  store_id,
  refund_amount AS amount
FROM core.fct_refunds__shopify
WHERE
  refunded_at >= :events_from
  AND refunded_at < :events_to
  AND NOT refund_id LIKE 'order:%' /* what was given back on the order itself is one of its lines */
UNION ALL
SELECT
  'shopify_refunds' AS entity,
  'certified' AS layer,
  refunded_at AS event_at,
  business_date,
  store_id,
  refund_amount AS amount
FROM certified.fct_refunds
WHERE
  refunded_at >= :events_from
  AND refunded_at < :events_to
  AND source_system = 'shopify'
  AND NOT refund_id LIKE 'order:%'
