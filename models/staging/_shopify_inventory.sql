MODEL (
  name staging._shopify_inventory,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Stock levels of the online location with the rules they break; one row is one item when its level changed, beside it what all items with its SKU came to (NULL: it alone has it). Read staging or quarantine.shopify_inventory instead.',
  grain (store_id, sku, counted_at),
  tags (inventory, shopify),
  signals (
    source_covered(entities := 'shopify.inventory')
  )
);

WITH latest AS (
  /* what all items with a SKU come to stands as it was read first: nearest to the instant, read again it may be more */
  SELECT
    inventory_item_id,
    location_id,
    sku,
    on_hand,
    on_order,
    FIRST_VALUE(sku_on_hand) OVER (PARTITION BY inventory_item_id, location_id, updated_at ORDER BY _dlt_load_id) AS sku_on_hand,
    FIRST_VALUE(sku_on_order) OVER (PARTITION BY inventory_item_id, location_id, updated_at ORDER BY _dlt_load_id) AS sku_on_order,
    updated_at,
    _loaded_at,
    MIN(_dlt_load_id) OVER (PARTITION BY inventory_item_id, location_id, updated_at, sku, on_hand, on_order) AS first_load_id
  FROM raw.shopify_inventory
  WHERE
    _loaded_at >= DATEADD(DAY, -1, @start_ts)
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY inventory_item_id, location_id, updated_at
      ORDER BY _dlt_load_id DESC
    ) = 1
), typed AS (
  SELECT
    'shopify'::VARCHAR AS source_system,
    0::BIGINT AS store_id,
    NULLIF(TRIM(sku), '')::VARCHAR AS sku,
    on_hand::BIGINT AS on_hand,
    on_order::BIGINT AS on_order,
    sku_on_hand::BIGINT AS sku_on_hand,
    sku_on_order::BIGINT AS sku_on_order,
    updated_at::TIMESTAMPNTZ AS counted_at,
    NULL::VARCHAR AS file_name,
    NULL::VARCHAR AS file_hash,
    NULL::BIGINT AS file_line,
    NULL::TIMESTAMPNTZ AS file_modified_at,
    @event_instant(updated_at, _loaded_at, _loaded_at)::TIMESTAMPNTZ AS event_at,
    _loaded_at::TIMESTAMPNTZ AS _loaded_at,
    first_load_id::VARCHAR AS raw_load_id
  FROM latest
  WHERE
    @event_instant(updated_at, _loaded_at, _loaded_at) BETWEEN @start_ts AND @end_ts
)
SELECT
  *,
  @failed_rules__shopify_inventory()::VARCHAR AS rule_ids
FROM typed
