MODEL (
  name staging.@{entity},
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  blueprints (
    (
      entity := oltp_orders
    ),
    (
      entity := oltp_order_lines
    ),
    (
      entity := oltp_refunds
    ),
    (
      entity := oltp_customers
    ),
    (
      entity := oltp_products
    ),
    (
      entity := shopify_orders
    ),
    (
      entity := shopify_order_lines
    ),
    (
      entity := shopify_refunds
    ),
    (
      entity := shopify_products
    ),
    (
      entity := shopify_inventory
    ),
    (
      entity := stores_inventory
    ),
    (
      entity := stores_reference
    ),
    (
      entity := stores_tills
    )
  ),
  description 'The rows of the entity that break no rule: what core is built from.'
);

SELECT
  *
  EXCLUDE (rule_ids)
FROM staging._@{entity}
WHERE
  rule_ids IS NULL
