-- What is to be counted of orders and order lines of the OLTP, layer by layer: latest version in raw; accepted, excluded
-- or quarantined in staging; core; certified. Excluded are cancelled and test orders and their lines. A line of goods
-- given back is a refund in core.
--
-- A line without an order stands by itself when no order in raw has its number. A run over what changed leaves that
-- question about older orders to staging; a sweep asks all of raw.
--
-- count_hours.sql adds the rows up by hour, and rows.sql compares. business_date NULL: the date that the event has where
-- its store stood then. The rules that decide which raw rows count, and when they happened, are stated here once more,
-- apart from the models: a control that asked them would repeat their mistakes. Tests hold both against each other. A
-- store_id of -1 stands for a store that is not known.
--
-- Parameters, each with an example:
--   :history_start  '2026-01-01'::TIMESTAMPNTZ        first instant of history, UTC (INSIGHTMART_START)
--   :events_from    '2026-03-05 09:00'::TIMESTAMPNTZ  first instant that is compared, a whole hour, UTC
--   :events_to      '2026-03-05 10:00'::TIMESTAMPNTZ  first instant that is not, a whole hour, UTC
--   :loaded_from    '2026-03-04 09:00'::TIMESTAMPNTZ  rows of these hours were not loaded earlier, UTC
--   :known_from     '2026-01-01 00:00'::TIMESTAMPNTZ  how far back raw is asked for what these hours name, UTC
--   :is_sweep       'TRUE'::BOOLEAN                 whether it is a sweep
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements rows_sales_oltp
WITH deleted_orders AS (
  SELECT
    order_id,
    MAX(_dlt_load_id) AS load_id
  FROM raw.oltp_orders
  WHERE
    NOT _deleted_at IS NULL AND _loaded_at >= :loaded_from
  GROUP BY
    order_id
), raw_orders AS (
  SELECT
    r.order_id,
    store_id,
    total_amount,
    CASE
      WHEN ordered_at >= :history_start
      AND ordered_at <= CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END + INTERVAL '1 DAY'
      THEN ordered_at
      WHEN CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END > :history_start
      THEN CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END
      ELSE :history_start
    END AS event_at
  FROM raw.oltp_orders AS r
  LEFT JOIN deleted_orders AS d
    ON d.order_id = r.order_id
  WHERE
    _loaded_at >= :loaded_from
    AND (
      d.load_id IS NULL OR d.load_id < r._dlt_load_id
    ) /* deleted up to its tombstone */
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY r.order_id, CASE
        WHEN r.order_id IS NULL
        THEN CONCAT_WS(
          '|',
          COALESCE(CAST(customer_id AS VARCHAR), ''),
          COALESCE(CAST(store_id AS VARCHAR), ''),
          COALESCE(CAST(channel AS VARCHAR), ''),
          COALESCE(CAST(status AS VARCHAR), ''),
          COALESCE(CAST(is_test AS VARCHAR), ''),
          COALESCE(CAST(currency AS VARCHAR), ''),
          COALESCE(CAST(ordered_at AS VARCHAR), ''),
          COALESCE(CAST(discount_amount AS VARCHAR), ''),
          COALESCE(CAST(tax_amount AS VARCHAR), ''),
          COALESCE(CAST(shipping_amount AS VARCHAR), ''),
          COALESCE(CAST(total_amount AS VARCHAR), ''),
          COALESCE(CAST(updated_at AS VARCHAR), '')
        )
      END
      ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, total_amount DESC NULLS LAST, status DESC NULLS LAST
    ) = 1
), loaded_lines AS (
  SELECT
    order_id,
    line_number,
    sku,
    quantity,
    unit_price,
    discount_amount,
    tax_amount,
    updated_at,
    _loaded_at,
    _dlt_load_id
  FROM raw.oltp_order_lines
  WHERE
    _loaded_at >= :loaded_from
  UNION ALL
  /* lines of an order whose instant was corrected into these hours came with its old one */
  SELECT
    order_id,
    line_number,
    sku,
    quantity,
    unit_price,
    discount_amount,
    tax_amount,
    updated_at,
    _loaded_at,
    _dlt_load_id
  FROM raw.oltp_order_lines
  WHERE
    _loaded_at >= :known_from
    AND _loaded_at < :loaded_from
    AND order_id IN (
      SELECT
        order_id
      FROM raw_orders
      WHERE
        event_at >= :events_from AND event_at < :events_to
    )
), deleted_lines AS (
  SELECT
    order_id,
    line_number,
    MAX(_dlt_load_id) AS load_id
  FROM raw.oltp_order_lines
  WHERE
    NOT _deleted_at IS NULL AND _loaded_at >= :known_from
  GROUP BY
    order_id,
    line_number
), raw_lines AS (
  SELECT
    r.order_id,
    CAST(quantity * unit_price + CASE
      WHEN quantity < 0 AND unit_price > 0
      THEN ABS(COALESCE(discount_amount, 0))
      ELSE 0
    END AS DECIMAL(38, 4)) AS amount, /* of goods given back: what was paid for them */
    CASE
      WHEN updated_at >= :history_start
      AND updated_at <= CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END + INTERVAL '1 DAY'
      THEN updated_at
      WHEN CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END > :history_start
      THEN CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END
      ELSE :history_start
    END AS changed_at
  FROM loaded_lines AS r
  LEFT JOIN deleted_lines AS d
    ON d.order_id = r.order_id AND d.line_number = r.line_number
  WHERE
    (
      d.load_id IS NULL OR d.load_id < r._dlt_load_id
    ) /* deleted up to its tombstone */
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY r.order_id, r.line_number, CASE
        WHEN r.order_id IS NULL OR r.line_number IS NULL
        THEN CONCAT_WS(
          '|',
          COALESCE(CAST(sku AS VARCHAR), ''),
          COALESCE(CAST(quantity AS VARCHAR), ''),
          COALESCE(CAST(unit_price AS VARCHAR), ''),
          COALESCE(CAST(discount_amount AS VARCHAR), ''),
          COALESCE(CAST(tax_amount AS VARCHAR), ''),
          COALESCE(CAST(updated_at AS VARCHAR), '')
        )
      END
      ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, quantity DESC NULLS LAST, unit_price DESC NULLS LAST
    ) = 1
), staged_orders AS (
  SELECT
    order_id,
    store_id,
    is_counted,
    rule_ids,
    event_at,
    total_amount
  FROM staging._oltp_orders
  WHERE
    event_at >= :events_from AND event_at < :events_to
), staged_lines AS (
  SELECT
    l.order_id,
    l.rule_ids,
    COALESCE(o.is_counted, TRUE) AS is_counted,
    l.event_at,
    COALESCE(o.store_id, -1) AS store_id,
    o.order_id IS NULL AS is_alone,
    COALESCE(
      l.quantity * l.unit_price + CASE WHEN l.quantity < 0 AND l.unit_price > 0 THEN ABS(l.discount_amount) ELSE 0 END,
      0
    ) AS amount
  FROM staging._oltp_order_lines AS l
  LEFT JOIN staged_orders AS o
    ON o.order_id = l.order_id
  WHERE
    l.event_at >= :events_from AND l.event_at < :events_to
), core_orders AS (
  SELECT
    order_id,
    total_amount
  FROM core.fct_orders__oltp
  WHERE
    ordered_at >= :events_from AND ordered_at < :events_to
), placed_lines AS (
  SELECT
    l.order_id,
    l.changed_at,
    l.amount,
    NOT o.order_id IS NULL AS has_order,
    o.event_at AS ordered_event_at,
    o.store_id
  FROM raw_lines AS l
  LEFT JOIN raw_orders AS o
    ON o.order_id = l.order_id
), asked_orders AS (
  SELECT DISTINCT
    order_id
  FROM placed_lines
  WHERE
    NOT has_order AND changed_at >= :events_from AND changed_at < :events_to
), known_orders AS (
  SELECT DISTINCT
    r.order_id
  FROM raw.oltp_orders AS r
  LEFT JOIN (
    SELECT
      order_id,
      MAX(_dlt_load_id) AS load_id
    FROM raw.oltp_orders
    WHERE
      NOT _deleted_at IS NULL
      AND _loaded_at >= :known_from
      AND order_id IN (
        SELECT
          order_id
        FROM asked_orders
      )
    GROUP BY
      order_id
  ) AS d
    ON d.order_id = r.order_id
  WHERE
    r._loaded_at >= :known_from
    AND r.order_id IN (
      SELECT
        order_id
      FROM asked_orders
    )
    AND (
      d.load_id IS NULL OR d.load_id < r._dlt_load_id
    )
), alone AS (
  /* as staging has it */
  SELECT DISTINCT
    CAST(order_id AS BIGINT) AS order_id
  FROM staged_lines
  WHERE
    is_alone
), staged AS (
  SELECT
    'oltp_orders' AS entity,
    r.rule_ids,
    r.is_counted,
    r.event_at,
    COALESCE(r.store_id, -1) AS store_id,
    COALESCE(r.total_amount, c.total_amount, 0) AS amount
  FROM staged_orders AS r
  LEFT JOIN core_orders AS c
    ON c.order_id = CASE WHEN r.total_amount IS NULL THEN r.order_id END
  UNION ALL
  SELECT
    'oltp_order_lines' AS entity,
    rule_ids,
    is_counted,
    event_at,
    store_id,
    amount
  FROM staged_lines
)
SELECT
  'oltp_orders' AS entity,
  'raw' AS layer,
  r.event_at,
  CAST(NULL AS DATE) AS business_date,
  COALESCE(r.store_id, -1) AS store_id,
  CAST(COALESCE(r.total_amount, c.total_amount, 0) AS DECIMAL(38, 4)) AS amount
FROM raw_orders AS r
LEFT JOIN core_orders AS c /* an order that states no total has the one that core adds up for it */
  ON c.order_id = CASE WHEN r.total_amount IS NULL THEN CAST(r.order_id AS VARCHAR) END
UNION ALL
/* a line stands with its order, without one by itself; lines of orders older than these hours are left out */
SELECT
  'oltp_order_lines' AS entity,
  'raw' AS layer,
  COALESCE(l.ordered_event_at, l.changed_at) AS event_at,
  NULL AS business_date,
  COALESCE(l.store_id, -1) AS store_id,
  COALESCE(l.amount, 0) AS amount
FROM placed_lines AS l
LEFT JOIN known_orders AS k
  ON k.order_id = l.order_id
LEFT JOIN alone AS s
  ON s.order_id = l.order_id
WHERE
  l.has_order
  OR (
    k.order_id IS NULL
    AND (
      CAST(:is_sweep AS BOOLEAN) OR l.order_id IS NULL OR NOT s.order_id IS NULL
    )
  )
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
  'oltp_orders' AS entity,
  'core' AS layer,
  ordered_at AS event_at,
  business_date,
  store_id,
  total_amount AS amount
FROM core.fct_orders__oltp
WHERE
  ordered_at >= :events_from AND ordered_at < :events_to
UNION ALL
SELECT
  'oltp_orders' AS entity,
  'certified' AS layer,
  ordered_at AS event_at,
  business_date,
  store_id,
  total_amount AS amount
FROM certified.fct_orders
WHERE
  ordered_at >= :events_from AND ordered_at < :events_to AND source_system = 'oltp'
UNION ALL
SELECT
  'oltp_order_lines' AS entity,
  'core' AS layer,
  ordered_at AS event_at,
  business_date,
  store_id,
  gross_sales AS amount
FROM core.fct_order_lines__oltp
WHERE
  ordered_at >= :events_from
  AND ordered_at < :events_to
  AND sold_at >= :events_from
  AND sold_at < :events_to
UNION ALL
SELECT
  'oltp_order_lines' AS entity,
  'core' AS layer,
  refunded_at AS event_at,
  business_date,
  store_id,
  -refund_amount AS amount
FROM core.fct_refunds__oltp
WHERE
  refunded_at >= :events_from
  AND refunded_at < :events_to
  AND refund_id LIKE 'order:%'
UNION ALL
SELECT
  'oltp_order_lines' AS entity,
  'certified' AS layer,
  ordered_at AS event_at,
  business_date,
  store_id,
  gross_sales AS amount
FROM certified.fct_order_lines
WHERE
  ordered_at >= :events_from
  AND ordered_at < :events_to
  AND sold_at >= :events_from
  AND sold_at < :events_to
  AND source_system = 'oltp'
UNION ALL
SELECT
  'oltp_order_lines' AS entity,
  'certified' AS layer,
  refunded_at AS event_at,
  business_date,
  store_id,
  -refund_amount AS amount
FROM certified.fct_refunds
WHERE
  refunded_at >= :events_from
  AND refunded_at < :events_to
  AND source_system = 'oltp'
  AND refund_id LIKE 'order:%'
