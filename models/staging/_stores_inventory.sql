MODEL (
  name staging._stores_inventory,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Stock counts of the latest content of every store file with the rules they break; one row is one product counted in one store at one instant. Read staging.stores_inventory or quarantine.stores_inventory instead.',
  grain (store_id, sku, counted_at, file_name),
  tags (inventory, stores),
  signals (
    source_covered(entities := 'stores.inventory')
  )
);

WITH loaded AS (
  SELECT
    store_id,
    sku,
    on_hand,
    on_order,
    counted_at,
    file_name,
    file_hash,
    file_line,
    file_modified_at,
    _loaded_at,
    _dlt_load_id
  FROM raw.stores_inventory
  WHERE
    _loaded_at >= DATEADD(DAY, -1, @start_ts)
), contents AS (
  SELECT DISTINCT
    file_name,
    file_hash,
    _dlt_load_id
  FROM loaded
), current_loads AS (
  /* a content counts, in all the loads that brought parts of it, until another content of its file is loaded */
  SELECT
    contents.file_name,
    contents._dlt_load_id
  FROM contents
  LEFT JOIN contents AS later
    ON later.file_name = contents.file_name
    AND later._dlt_load_id > contents._dlt_load_id
    AND later.file_hash <> contents.file_hash
  WHERE
    later.file_name IS NULL
), current_content AS (
  SELECT
    loaded.*
  FROM loaded
  INNER JOIN current_loads
    ON current_loads.file_name = loaded.file_name
    AND current_loads._dlt_load_id = loaded._dlt_load_id
), typed AS (
  SELECT
    'stores'::VARCHAR AS source_system,
    store_id::BIGINT AS store_id,
    NULLIF(TRIM(sku), '')::VARCHAR AS sku,
    on_hand::BIGINT AS on_hand,
    on_order::BIGINT AS on_order,
    NULL::BIGINT AS sku_on_hand,
    NULL::BIGINT AS sku_on_order,
    counted_at::TIMESTAMPNTZ AS counted_at,
    file_name::VARCHAR AS file_name,
    file_hash::VARCHAR AS file_hash,
    file_line::BIGINT AS file_line,
    file_modified_at::TIMESTAMPNTZ AS file_modified_at,
    @event_instant(counted_at, _loaded_at, _loaded_at)::TIMESTAMPNTZ AS event_at,
    _loaded_at::TIMESTAMPNTZ AS _loaded_at,
    _dlt_load_id::VARCHAR AS raw_load_id
  FROM current_content
  WHERE
    @event_instant(counted_at, _loaded_at, _loaded_at) BETWEEN @start_ts AND @end_ts
)
SELECT
  *,
  @failed_rules__stores_inventory()::VARCHAR AS rule_ids
FROM typed
