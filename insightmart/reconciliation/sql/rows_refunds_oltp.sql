-- What is to be counted of refunds of the OLTP, layer by layer: latest version in raw; accepted, excluded or quarantined
-- in staging; core; certified. Excluded are refunds of cancelled and test orders. What was given back on an order itself
-- is a line of it: rows_sales_oltp.sql.
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
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements rows_refunds_oltp
WITH deleted AS (
  SELECT
    refund_id,
    MAX(_dlt_load_id) AS load_id
  FROM raw.oltp_refunds
  WHERE
    NOT _deleted_at IS NULL AND _loaded_at >= :loaded_from
  GROUP BY
    refund_id
), raw_refunds AS (
  SELECT
    order_id,
    amount,
    CASE
      WHEN refunded_at >= :history_start
      AND refunded_at <= CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END + INTERVAL '1 DAY'
      THEN refunded_at
      WHEN CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END > :history_start
      THEN CASE WHEN updated_at <= _loaded_at THEN updated_at ELSE _loaded_at END
      ELSE :history_start
    END AS event_at
  FROM raw.oltp_refunds AS r
  LEFT JOIN deleted AS d
    ON d.refund_id = r.refund_id
  WHERE
    _loaded_at >= :loaded_from
    AND (
      d.load_id IS NULL OR d.load_id < r._dlt_load_id
    ) /* deleted up to its tombstone */
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY r.refund_id, CASE
        WHEN r.refund_id IS NULL
        THEN CONCAT_WS(
          '|',
          COALESCE(CAST(order_id AS VARCHAR), ''),
          COALESCE(CAST(line_number AS VARCHAR), ''),
          COALESCE(CAST(quantity AS VARCHAR), ''),
          COALESCE(CAST(amount AS VARCHAR), ''),
          COALESCE(CAST(reason AS VARCHAR), ''),
          COALESCE(CAST(refunded_at AS VARCHAR), ''),
          COALESCE(CAST(updated_at AS VARCHAR), '')
        )
      END
      ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, amount DESC NULLS LAST
    ) = 1
), staged AS (
  SELECT
    'oltp_refunds' AS entity,
    order_id,
    rule_ids,
    is_counted,
    event_at,
    COALESCE(store_id, -1) AS store_id,
    COALESCE(refund_amount, 0) AS amount
  FROM staging._oltp_refunds
  WHERE
    event_at >= :events_from AND event_at < :events_to
), orders AS (
  /* a refund names its order, whose store staging looked up */
  SELECT
    order_id,
    MAX(store_id) AS store_id
  FROM staged
  GROUP BY
    order_id
)
SELECT
  'oltp_refunds' AS entity,
  'raw' AS layer,
  r.event_at,
  CAST(NULL AS DATE) AS business_date,
  COALESCE(o.store_id, -1) AS store_id,
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
  'oltp_refunds' AS entity,
  'core' AS layer,
  refunded_at AS event_at,
  business_date,
  store_id,
  refund_amount AS amount
FROM core.fct_refunds__oltp
WHERE
  refunded_at >= :events_from
  AND refunded_at < :events_to
  AND NOT refund_id LIKE 'order:%'
UNION ALL
SELECT
  'oltp_refunds' AS entity,
  'certified' AS layer,
  refunded_at AS event_at,
  business_date,
  store_id,
  refund_amount AS amount
FROM certified.fct_refunds
WHERE
  refunded_at >= :events_from
  AND refunded_at < :events_to
  AND source_system = 'oltp'
  AND NOT refund_id LIKE 'order:%'
