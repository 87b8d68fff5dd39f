MODEL (
  name certified.dim_products,
  kind FULL,
  depends_on (
    gate.products
  ),
  description 'Products as they are now; one row is one SKU.',
  grain sku,
  tags (
    products
  )
);

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
FROM core.dim_products
