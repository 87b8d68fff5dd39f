-- Ties stock counts of the online shop from raw to certified, in rows and in pieces on hand, by business date and
-- store: latest version in raw = accepted + excluded + quarantined in staging; accepted = core; core = certified.
-- Excluded are earlier counts of a product in the same hour. Rows are levels of items; pieces are those of all items
-- with the SKU, as raw states them beside the level, its own where no other item has it. Only what happened before :through is compared: later
-- events are not certified yet.
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
--   python -m insightmart.reconciliation.statements rows_inventory_shopify
WITH raw_counts AS (
  /* where other items have its SKU: what all of them came to when this version was read for the first time */
  SELECT
    COALESCE(
      FIRST_VALUE(sku_on_hand) OVER (PARTITION BY inventory_item_id, location_id, updated_at ORDER BY _dlt_load_id),
      on_hand,
      0
    ) AS on_hand,
    CASE
      WHEN updated_at >= :history_start AND updated_at <= _loaded_at + INTERVAL '1 DAY'
      THEN updated_at
      WHEN _loaded_at > :history_start
      THEN _loaded_at
      ELSE :history_start
    END AS event_at
  FROM raw.shopify_inventory
  WHERE
    _loaded_at >= :loaded_from
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY inventory_item_id, location_id, updated_at
      ORDER BY _dlt_load_id DESC
    ) = 1
), staged AS (
  /* of several counts of a product in a store and hour the last one counts */
  SELECT
    'shopify_inventory' AS entity,
    rule_ids,
    ROW_NUMBER() OVER (
      PARTITION BY rule_ids IS NULL, store_id, sku, DATE_TRUNC('HOUR', counted_at)
      ORDER BY counted_at DESC, raw_load_id DESC, file_name DESC NULLS LAST, file_line DESC NULLS LAST
    ) = 1 AS is_counted,
    event_at,
    COALESCE(store_id, -1) AS store_id,
    COALESCE(sku_on_hand, on_hand, 0) AS amount
  FROM staging._shopify_inventory
  WHERE
    event_at >= :events_from AND event_at < :events_to
), flows AS (
  SELECT
    'shopify_inventory' AS entity,
    'raw' AS layer,
    event_at,
    0 AS store_id,
    CAST(on_hand AS DECIMAL(38, 4)) AS amount
  FROM raw_counts
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
    'shopify_inventory' AS entity,
    'core' AS layer,
    counted_hour AS event_at,
    business_date,
    store_id,
    on_hand AS amount
  FROM core.fct_inventory__shopify
  UNION ALL
  SELECT
    'shopify_inventory' AS entity,
    'certified' AS layer,
    counted_hour AS event_at,
    business_date,
    store_id,
    on_hand AS amount
  FROM certified.fct_inventory
  WHERE
    store_id = 0
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
        w.source = 'shopify' AND w.entity = 'inventory'
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
