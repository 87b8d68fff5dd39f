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

/* Only where something breaks a rule are the other versions looked through; and who asks for events since an instant has
   the rest left out, as event_at is part of what is ranked within. */
SELECT
  broken.*,
  broken.rule_ids AS reasons
FROM staging._@{source_versioned_entity} AS broken
INNER JOIN (
  SELECT
    COALESCE(@key::VARCHAR, '') AS version_of,
    COALESCE(@row_without_key(@key IS NULL, @content), '') AS version_without_key,
    source_updated_at AS version_at,
    raw_load_id AS version_load_id,
    rule_ids AS version_rule_ids
  FROM staging._@{source_versioned_entity}
) AS versions
  ON versions.version_of = COALESCE(@key::VARCHAR, '')
  AND versions.version_without_key = COALESCE(@row_without_key(@key IS NULL, @content), '')
WHERE
  NOT broken.rule_ids IS NULL
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY version_of, version_without_key, event_at
    ORDER BY version_at DESC, version_load_id DESC, version_rule_ids, source_updated_at DESC, raw_load_id DESC, rule_ids
  ) = 1
  AND version_at = source_updated_at
  AND version_load_id = raw_load_id
  AND version_rule_ids = rule_ids
