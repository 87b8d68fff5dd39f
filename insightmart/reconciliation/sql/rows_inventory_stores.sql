-- What is to be counted of stock counts of the stores' files, layer by layer: latest content of each file in raw;
-- accepted, excluded or quarantined in staging; core; certified. Excluded are earlier counts of a product in the same
-- hour. The amount is pieces on hand.
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
--   python -m insightmart.reconciliation.statements rows_inventory_stores
WITH contents AS (
  SELECT DISTINCT
    file_name,
    file_hash,
    _dlt_load_id
  FROM raw.stores_inventory
  WHERE
    _loaded_at >= :loaded_from
), current_loads AS (
  /* a content counts, in all the loads that brought parts of it, until another content of its file is loaded */
  SELECT
    content.file_name,
    content._dlt_load_id
  FROM contents AS content
  LEFT JOIN contents AS later
    ON later.file_name = content.file_name
    AND later._dlt_load_id > content._dlt_load_id
    AND later.file_hash <> content.file_hash
  WHERE
    later.file_name IS NULL
), raw_counts AS (
  SELECT
    store_id,
    on_hand,
    CASE
      WHEN counted_at >= :history_start AND counted_at <= _loaded_at + INTERVAL '1 DAY'
      THEN counted_at
      WHEN _loaded_at > :history_start
      THEN _loaded_at
      ELSE :history_start
    END AS event_at
  FROM raw.stores_inventory
  WHERE
    _loaded_at >= :loaded_from
    AND (file_name, _dlt_load_id) IN (
      SELECT
        file_name,
        _dlt_load_id
      FROM current_loads
    )
), staged AS (
  /* of several counts of a product in a store and hour the last one counts */
  SELECT
    'stores_inventory' AS entity,
    rule_ids,
    ROW_NUMBER() OVER (
      PARTITION BY rule_ids IS NULL, store_id, sku, DATE_TRUNC('HOUR', counted_at)
      ORDER BY counted_at DESC, raw_load_id DESC, file_name DESC NULLS LAST, file_line DESC NULLS LAST
    ) = 1 AS is_counted,
    event_at,
    COALESCE(store_id, -1) AS store_id,
    COALESCE(on_hand, 0) AS amount
  FROM staging._stores_inventory
  WHERE
    event_at >= :events_from AND event_at < :events_to
)
SELECT
  'stores_inventory' AS entity,
  'raw' AS layer,
  event_at,
  CAST(NULL AS DATE) AS business_date,
  COALESCE(store_id, -1) AS store_id,
  CAST(COALESCE(on_hand, 0) AS DECIMAL(38, 4)) AS amount
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
  NULL AS business_date,
  store_id,
  amount
FROM staged
UNION ALL
SELECT
  'stores_inventory' AS entity,
  'core' AS layer,
  counted_hour AS event_at,
  business_date,
  store_id,
  on_hand AS amount
FROM core.fct_inventory__stores
WHERE
  counted_hour >= :events_from AND counted_hour < :events_to
UNION ALL
SELECT
  'stores_inventory' AS entity,
  'certified' AS layer,
  counted_hour AS event_at,
  business_date,
  store_id,
  on_hand AS amount
FROM certified.fct_inventory
WHERE
  counted_hour >= :events_from AND counted_hour < :events_to AND store_id <> 0
