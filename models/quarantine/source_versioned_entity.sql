MODEL (
  name quarantine.@{source_versioned_entity},
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  blueprints (
    (
      source_versioned_entity := oltp_customers,
      key := customer_id,
      content := (
        email,
        city,
        region,
        country,
        postal_code,
        loyalty_tier,
        marketing_opt_in,
        customer_created_at
      )
    ),
    (
      source_versioned_entity := oltp_products,
      key := sku,
      content := (product_name, category, brand, unit_cost, list_price, is_active)
    ),
    (
      source_versioned_entity := shopify_products,
      key := variant_id,
      content := (sku, product_name, category, brand, unit_cost, list_price, is_active)
    )
  ),
  description 'The customers or products whose latest version breaks a rule, with the ids of the rules (ops.rules says what they mean) and the load that brought it. One leaves by itself when its source is mended.'
);

SELECT
  *,
  rule_ids AS reasons
FROM staging._@{source_versioned_entity}
QUALIFY
  NOT rule_ids IS NULL
  AND ROW_NUMBER() OVER (
    PARTITION BY @key, @row_without_key(@key IS NULL, @content)
    ORDER BY source_updated_at DESC, raw_load_id DESC, rule_ids
  ) = 1
