-- Ties refunds of Shopify from raw to certified, in rows and in money, by business date and store: latest version in
-- raw = accepted + excluded + quarantined in staging; accepted = core; core = certified. Excluded are refunds of
-- cancelled and test orders. Only what happened before :through is compared: later events are not certified yet.
--
-- The rules that decide which raw rows count, and when they happened, are stated here once more, apart from the models:
-- a control that asked them would repeat their mistakes. Tests hold both against each other. A store_id of -1
-- stands for a store that is not known, 0 for the online shop.
--
-- Parameters, each with an example:
--   :history_start     '2026-01-01'::TIMESTAMPNTZ        first instant of history, UTC (INSIGHTMART_START)
--   :company_timezone  'America/New_York'                the company's zone (INSIGHTMART_TIMEZONE)
--   :date_from         '2026-03-01'::DATE                first business date
--   :date_to           '2026-03-08'::DATE                last business date
--   :events_from       '2026-02-28 10:00'::TIMESTAMPNTZ  before the first business date begins anywhere on earth, UTC
--   :events_to         '2026-03-09 12:00'::TIMESTAMPNTZ  after the last business date has ended everywhere, UTC
--   :loaded_from       '2026-02-27 10:00'::TIMESTAMPNTZ  rows of these dates were not loaded earlier, UTC
--   :through           '2026-03-08 10:00'::TIMESTAMPNTZ  what happened before it is certified, UTC
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements rows_refunds_shopify
WITH raw_orders AS (
  SELECT
    order_id,
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
  WHERE
    _loaded_at >= :loaded_from
    AND NOT EXISTS(
      SELECT
        1
      FROM raw.shopify_orders AS d
      WHERE
        d.order_id = r.order_id
        AND NOT d._deleted_at IS NULL
        AND d._dlt_load_id >= r._dlt_load_id
    ) /* a deleted order counts no more, up to its tombstone */
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY order_id
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
    COALESCE(r.reason <> 'ORDER', TRUE)
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
    COALESCE(store_id, -1) AS store_id,
    SUM(refund_amount) AS amount
  FROM staging._shopify_refunds
  GROUP BY
    order_id,
    refund_id,
    line_number,
    event_at,
    COALESCE(store_id, -1),
    rule_ids IS NULL
), flows AS (
  SELECT
    'shopify_refunds' AS entity,
    'raw' AS layer,
    r.event_at,
    COALESCE(o.store_id, -1) AS store_id,
    CAST(COALESCE(r.amount, 0) AS DECIMAL(38, 4)) AS amount
  FROM raw_refunds AS r
  LEFT JOIN staging._shopify_orders AS o
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
    store_id,
    amount
  FROM staged
), published AS (
  SELECT
    'shopify_refunds' AS entity,
    'core' AS layer,
    refunded_at AS event_at,
    business_date,
    store_id,
    refund_amount AS amount
  FROM core.fct_refunds__shopify
  WHERE
    NOT refund_id LIKE 'order:%' /* what was given back on the order itself is one of its lines */
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
    source_system = 'shopify' AND NOT refund_id LIKE 'order:%'
), located AS (
  /* on the business date that the event has where its store stood then */
  SELECT
    f.entity,
    f.layer,
    f.store_id,
    f.amount,
    CAST(CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, :company_timezone), f.event_at) AS DATE) AS business_date
  FROM flows AS f
  LEFT JOIN core.dim_stores AS s
    ON s.store_id = f.store_id AND f.event_at >= s.valid_from AND f.event_at < s.valid_to
  WHERE
    f.event_at >= :events_from AND f.event_at < :events_to AND f.event_at < :through
), layers AS (
  SELECT
    entity,
    layer,
    business_date,
    store_id,
    COUNT(*) AS row_count,
    CAST(SUM(amount) AS DECIMAL(38, 4)) AS amount
  FROM located
  GROUP BY
    entity,
    layer,
    business_date,
    store_id
  UNION ALL
  SELECT
    entity,
    layer,
    business_date,
    store_id,
    COUNT(*) AS row_count,
    CAST(SUM(amount) AS DECIMAL(38, 4)) AS amount
  FROM published
  WHERE
    event_at >= :events_from AND event_at < :events_to AND event_at < :through
  GROUP BY
    entity,
    layer,
    business_date,
    store_id
), measures AS (
  SELECT
    v.entity,
    v.layer,
    v.business_date,
    v.store_id,
    m.measure,
    CASE m.measure
      WHEN 'rows'
      THEN CAST(v.row_count AS DECIMAL(38, 4))
      ELSE v.amount
    END AS total
  FROM layers AS v
  CROSS JOIN (VALUES
    ('rows'),
    ('amount')) AS m(measure)
  WHERE
    v.business_date BETWEEN :date_from AND :date_to
), totals AS (
  SELECT
    entity,
    business_date,
    store_id,
    measure,
    CAST(SUM(CASE WHEN layer = 'raw' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS raw_total,
    CAST(SUM(CASE WHEN layer = 'accepted' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS accepted_total,
    CAST(SUM(CASE WHEN layer = 'excluded' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS excluded_total,
    CAST(SUM(CASE WHEN layer = 'quarantined' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS quarantined_total,
    CAST(SUM(CASE WHEN layer = 'core' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS core_total,
    CAST(SUM(CASE WHEN layer = 'certified' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS certified_total
  FROM measures
  GROUP BY
    entity,
    business_date,
    store_id,
    measure
), compared AS (
  /* the first step on the way that does not add up is the difference */
  SELECT
    entity,
    business_date,
    store_id,
    measure,
    raw_total,
    core_total,
    certified_total,
    excluded_total,
    quarantined_total,
    CASE
      WHEN raw_total <> accepted_total + excluded_total + quarantined_total
      THEN raw_total - accepted_total - excluded_total - quarantined_total
      WHEN accepted_total <> core_total
      THEN accepted_total - core_total
      ELSE core_total - certified_total
    END AS difference
  FROM totals
), corrected AS (
  /* business dates that an open correction window may change */
  SELECT DISTINCT
    dates.business_date
  FROM (
    SELECT DISTINCT
      business_date
    FROM compared
  ) AS dates
  INNER JOIN ops.correction_windows AS w
    ON w.window_start < CAST(dates.business_date AS TIMESTAMPNTZ) + INTERVAL '36 HOURS'
    AND w.window_end > CAST(dates.business_date AS TIMESTAMPNTZ) - INTERVAL '14 HOURS'
  WHERE
    w.status = 'open'
    AND (
      (
        w.source = 'shopify' AND w.entity = 'sales'
      ) OR w.source = 'manual'
    )
)
SELECT
  t.entity,
  'rows' AS control,
  t.business_date,
  t.store_id,
  t.measure,
  NULL AS source_total,
  t.raw_total,
  t.core_total,
  t.certified_total,
  t.excluded_total,
  t.quarantined_total,
  t.difference,
  CASE
    WHEN t.difference = 0
    THEN 'matched'
    WHEN NOT c.business_date IS NULL
    THEN 'correction open'
    ELSE 'failed'
  END AS status
FROM compared AS t
LEFT JOIN corrected AS c
  ON c.business_date = t.business_date
