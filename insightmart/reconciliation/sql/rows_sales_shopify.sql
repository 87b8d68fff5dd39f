-- What is to be counted of orders and order lines of Shopify, layer by layer: latest version in raw; accepted, excluded
-- or quarantined in staging; core; certified. Excluded are cancelled and test orders and their lines.
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
--   python -m insightmart.reconciliation.statements rows_sales_shopify
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
    COALESCE(placed_total_amount, total_amount) AS total_amount,
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
    r.line_type = 'PRODUCT' AS is_product,
    r.action_type,
    r.quantity,
    COALESCE(r.reason = 'ORDER', FALSE) AS is_placed,
    CAST(COALESCE(r.total_amount, 0) AS DECIMAL(38, 4)) - CAST(COALESCE(r.tax_amount, 0) AS DECIMAL(38, 4)) AS net_amount,
    CAST(COALESCE(r.discount_before_taxes, 0) AS DECIMAL(38, 4)) AS discount_amount,
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
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY r.order_id, r.agreement_id, r.sale_id ORDER BY r.happened_at) = 1
), raw_lines AS (
  /* what an order was placed with, and what edits added; of goods given back what was paid for them */
  SELECT
    order_id,
    CASE
      WHEN is_placed OR happened_event_at < ordered_event_at
      THEN ordered_event_at
      ELSE happened_event_at
    END AS event_at,
    net_amount + CASE WHEN action_type = 'RETURN' OR quantity < 0 THEN 0 ELSE discount_amount END AS amount
  FROM raw_sales
  WHERE
    is_product
    AND (
      is_placed OR (
        action_type = 'ORDER' AND quantity > 0 AND net_amount >= 0
      )
    )
), window_orders AS (
  SELECT
    order_id,
    store_id,
    is_counted,
    rule_ids,
    event_at,
    total_amount,
    source_updated_at,
    raw_load_id
  FROM staging._shopify_orders
  WHERE
    event_at >= :events_from AND event_at < :events_to
), window_lines AS (
  SELECT
    order_id,
    rule_ids,
    event_at,
    gross_amount,
    is_returned,
    discount_amount
  FROM staging._shopify_order_lines
  WHERE
    event_at >= :events_from AND event_at < :events_to
), edited AS (
  /* orders of other hours that lines of these hours were added to */
  SELECT
    n.order_id
  FROM (
    SELECT
      order_id
    FROM window_lines
    UNION
    SELECT
      CAST(order_id AS VARCHAR) AS order_id
    FROM raw_lines
    WHERE
      event_at >= :events_from AND event_at < :events_to
  ) AS n
  LEFT JOIN window_orders AS w
    ON w.order_id = n.order_id
  WHERE
    w.order_id IS NULL
), orders AS (
  SELECT
    order_id,
    store_id,
    is_counted
  FROM (
    SELECT
      order_id,
      store_id,
      is_counted,
      source_updated_at,
      raw_load_id,
      event_at
    FROM window_orders
    UNION ALL
    SELECT
      order_id,
      store_id,
      is_counted,
      source_updated_at,
      raw_load_id,
      event_at
    FROM staging._shopify_orders
    WHERE
      (
        event_at < :events_from OR event_at >= :events_to
      )
      AND order_id IN (
        SELECT
          order_id
        FROM edited
      )
  ) AS found
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY order_id
      ORDER BY source_updated_at DESC NULLS LAST, raw_load_id DESC, event_at
    ) = 1
), core_orders AS (
  SELECT
    order_id,
    total_amount
  FROM core.fct_orders__shopify
  WHERE
    ordered_at >= :events_from AND ordered_at < :events_to
), staged AS (
  SELECT
    'shopify_orders' AS entity,
    r.rule_ids,
    r.is_counted,
    r.event_at,
    COALESCE(r.store_id, -1) AS store_id,
    COALESCE(r.total_amount, c.total_amount, 0) AS amount
  FROM window_orders AS r
  LEFT JOIN core_orders AS c
    ON c.order_id = CASE WHEN r.total_amount IS NULL THEN r.order_id END
  UNION ALL
  SELECT
    'shopify_order_lines' AS entity,
    r.rule_ids,
    COALESCE(o.is_counted, TRUE) AS is_counted,
    r.event_at,
    COALESCE(o.store_id, 0) AS store_id,
    r.gross_amount - CASE WHEN r.is_returned THEN r.discount_amount ELSE 0 END AS amount
  FROM window_lines AS r
  LEFT JOIN orders AS o
    ON o.order_id = r.order_id
)
SELECT
  'shopify_orders' AS entity,
  'raw' AS layer,
  r.event_at,
  CAST(NULL AS DATE) AS business_date,
  COALESCE(o.store_id, 0) AS store_id,
  CAST(COALESCE(r.total_amount, c.total_amount, 0) AS DECIMAL(38, 4)) AS amount
FROM raw_orders AS r
LEFT JOIN orders AS o /* which store a POS location stands for is a setting */
  ON o.order_id = CAST(r.order_id AS VARCHAR)
LEFT JOIN core_orders AS c /* an order that states no total has the one that core adds up for it */
  ON c.order_id = CASE WHEN r.total_amount IS NULL THEN CAST(r.order_id AS VARCHAR) END
UNION ALL
SELECT
  'shopify_order_lines' AS entity,
  'raw' AS layer,
  r.event_at,
  NULL AS business_date,
  COALESCE(o.store_id, 0) AS store_id,
  r.amount
FROM raw_lines AS r
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
  'shopify_orders' AS entity,
  'core' AS layer,
  ordered_at AS event_at,
  business_date,
  store_id,
  total_amount AS amount
FROM core.fct_orders__shopify
WHERE
  ordered_at >= :events_from AND ordered_at < :events_to
UNION ALL
SELECT
  'shopify_orders' AS entity,
  'certified' AS layer,
  ordered_at AS event_at,
  business_date,
  store_id,
  total_amount AS amount
FROM certified.fct_orders
WHERE
  ordered_at >= :events_from
  AND ordered_at < :events_to
  AND source_system = 'shopify'
UNION ALL
SELECT
  'shopify_order_lines' AS entity,
  'core' AS layer,
  sold_at AS event_at,
  business_date,
  store_id,
  gross_sales AS amount
FROM core.fct_order_lines__shopify
WHERE
  sold_at >= :events_from AND sold_at < :events_to
UNION ALL
SELECT
  'shopify_order_lines' AS entity,
  'core' AS layer,
  refunded_at AS event_at,
  business_date,
  store_id,
  -refund_amount AS amount
FROM core.fct_refunds__shopify
WHERE
  refunded_at >= :events_from
  AND refunded_at < :events_to
  AND refund_id LIKE 'order:%'
UNION ALL
SELECT
  'shopify_order_lines' AS entity,
  'certified' AS layer,
  sold_at AS event_at,
  business_date,
  store_id,
  gross_sales AS amount
FROM certified.fct_order_lines
WHERE
  sold_at >= :events_from AND sold_at < :events_to AND source_system = 'shopify'
UNION ALL
SELECT
  'shopify_order_lines' AS entity,
  'certified' AS layer,
  refunded_at AS event_at,
  business_date,
  store_id,
  -refund_amount AS amount
FROM certified.fct_refunds
WHERE
  refunded_at >= :events_from
  AND refunded_at < :events_to
  AND source_system = 'shopify'
  AND refund_id LIKE 'order:%'
