MODEL (
  name core.dim_products,
  kind FULL,
  description 'Products as they are now; one row is one SKU. The OLTP describes a product; Shopify only what the OLTP does not know. Candidate of certified.dim_products.',
  grain sku,
  signals (
    anything_loaded()
  ),
  tags (
    products
  ),
  audits (not_null(columns := (
      sku
    )), unique_values(columns := (
      sku
  )))
);

WITH described AS (
  SELECT
    sku,
    product_name,
    category,
    brand,
    unit_cost,
    list_price,
    is_active,
    source_updated_at,
    raw_load_id,
    'oltp' AS described_by,
    1 AS preference
  FROM staging.oltp_products
  UNION ALL
  SELECT
    sku,
    product_name,
    category,
    brand,
    unit_cost,
    list_price,
    is_active,
    source_updated_at,
    raw_load_id,
    'shopify' AS described_by,
    2 AS preference
  FROM staging.shopify_products
)
SELECT
  sku::VARCHAR AS sku, /* Stock keeping unit */
  product_name::VARCHAR AS product_name, /* Name */
  category::VARCHAR AS category, /* Category */
  brand::VARCHAR AS brand, /* Brand */
  unit_cost::DECIMAL(18, 4) AS unit_cost, /* Cost of one piece */
  list_price::DECIMAL(18, 4) AS list_price, /* List price of one piece */
  is_active::BOOLEAN AS is_active, /* Whether it is on sale */
  described_by::VARCHAR AS described_by, /* Source of the description: oltp or shopify */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM described
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY sku
    ORDER BY preference, source_updated_at DESC, raw_load_id DESC, product_name, list_price, unit_cost
  ) = 1
