MODEL (
  name quarantine.@{entity},
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
      entity := shopify_orders
    ),
    (
      entity := shopify_order_lines
    ),
    (
      entity := shopify_refunds
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
  description 'The rows of the entity that break a rule, with the ids of the rules (ops.rules says what they mean), the load that brought them and, for files, the line. A row leaves by itself when its source is mended.'
);

SELECT
  *,
  rule_ids AS reasons
FROM staging._@{entity}
WHERE
  NOT rule_ids IS NULL
