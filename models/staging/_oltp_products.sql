MODEL (
  name staging._oltp_products,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Every version of every product of the OLTP as loaded, with the rules it breaks. Read staging.oltp_products or quarantine.oltp_products instead.',
  grain (sku, source_updated_at, raw_load_id),
  tags (products, oltp)
);

WITH typed AS (
  SELECT
    NULLIF(TRIM(sku), '')::VARCHAR AS sku,
    NULLIF(TRIM(name), '')::VARCHAR AS product_name,
    NULLIF(TRIM(category), '')::VARCHAR AS category,
    NULLIF(TRIM(brand), '')::VARCHAR AS brand,
    unit_cost::DECIMAL(18, 4) AS unit_cost,
    list_price::DECIMAL(18, 4) AS list_price,
    is_active::BOOLEAN AS is_active,
    COALESCE(@believed(updated_at, _loaded_at), _loaded_at)::TIMESTAMPNTZ AS source_updated_at,
    _loaded_at::TIMESTAMPNTZ AS event_at,
    _loaded_at::TIMESTAMPNTZ AS _loaded_at,
    _dlt_load_id::VARCHAR AS raw_load_id
  FROM raw.oltp_products
  WHERE
    _deleted_at IS NULL /* what is deleted at the source stays described: facts of the past name it */
)
SELECT
  *,
  @failed_rules__oltp_products()::VARCHAR AS rule_ids
FROM typed
