MODEL (
  name staging._shopify_products,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Every version of every Shopify product variant as loaded, in the columns of staging._oltp_products, with the rules it breaks. Read staging.shopify_products or quarantine.shopify_products instead.',
  grain (variant_id, source_updated_at, raw_load_id),
  tags (products, shopify)
);

WITH typed AS (
  SELECT
    variant_id::BIGINT AS variant_id,
    NULLIF(TRIM(sku), '')::VARCHAR AS sku,
    NULLIF(TRIM(title), '')::VARCHAR AS product_name,
    NULLIF(TRIM(product_type), '')::VARCHAR AS category,
    NULLIF(TRIM(vendor), '')::VARCHAR AS brand,
    unit_cost::DECIMAL(18, 4) AS unit_cost,
    price::DECIMAL(18, 4) AS list_price,
    (
      status = 'ACTIVE'
    )::BOOLEAN AS is_active,
    COALESCE(@believed(updated_at, _loaded_at), _loaded_at)::TIMESTAMPNTZ AS source_updated_at,
    _loaded_at::TIMESTAMPNTZ AS event_at,
    _loaded_at::TIMESTAMPNTZ AS _loaded_at,
    _dlt_load_id::VARCHAR AS raw_load_id
  FROM raw.shopify_products
)
SELECT
  *,
  @failed_rules__shopify_products()::VARCHAR AS rule_ids
FROM typed
