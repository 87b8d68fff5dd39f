MODEL (
  name quarantine.@{source_entity},
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
      source_entity := shopify_orders
    ),
    (
      source_entity := shopify_order_lines
    ),
    (
      source_entity := shopify_refunds
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
  description 'The rows of the entity that break a rule, with the ids of the rules (ops.rules says what they mean), the load that brought them and, for files, the line. A row leaves by itself when its source is mended.'
);

SELECT
  *,
  rule_ids AS reasons
FROM staging._@{source_entity}
WHERE
  NOT rule_ids IS NULL
