-- What is to be counted of stock counts of the online shop, layer by layer: latest version in raw; accepted, excluded or
-- quarantined in staging; core; certified. Excluded are earlier counts of a product in the same hour. Rows are levels of
-- items; pieces are those of all items with the SKU, as raw states them beside the level, its own where no other item has
-- it.
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
)
SELECT
  'shopify_inventory' AS entity,
  'raw' AS layer,
  event_at,
  CAST(NULL AS DATE) AS business_date,
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
  NULL AS business_date,
  store_id,
  amount
FROM staged
UNION ALL
SELECT
  'shopify_inventory' AS entity,
  'core' AS layer,
  counted_hour AS event_at,
  business_date,
  store_id,
  on_hand AS amount
FROM core.fct_inventory__shopify
WHERE
  counted_hour >= :events_from AND counted_hour < :events_to
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
  counted_hour >= :events_from AND counted_hour < :events_to AND store_id = 0
