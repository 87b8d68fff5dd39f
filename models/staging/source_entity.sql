MODEL (
  name staging.@{source_entity},
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  blueprints (
    (
      source_entity := oltp_orders
    ),
    (
      source_entity := oltp_order_lines
    ),
    (
      source_entity := oltp_refunds
    ),
    (
      source_entity := oltp_customers
    ),
    (
      source_entity := oltp_products
    ),
    (
      source_entity := shopify_orders
    ),
    (
      source_entity := shopify_order_lines
    ),
    (
      source_entity := shopify_refunds
    ),
    (
      source_entity := shopify_products
    ),
    (
      source_entity := shopify_inventory
    ),
    (
      source_entity := stores_inventory
    ),
    (
      source_entity := stores_reference
    ),
    (
      source_entity := stores_tills
    )
  ),
  description 'The rows of the entity that break no rule: what core is built from.'
);

SELECT
  *
  EXCLUDE (rule_ids)
FROM staging._@{source_entity}
WHERE
  rule_ids IS NULL
