MODEL (
  name staging._oltp_customers,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Every version of every customer as loaded, with the rules it breaks. Read staging.oltp_customers or quarantine.oltp_customers instead.',
  grain (customer_id, source_updated_at, raw_load_id),
  tags (customers, oltp)
);

WITH typed AS (
  SELECT
    customer_id::VARCHAR AS customer_id,
    NULLIF(LOWER(TRIM(email)), '')::VARCHAR AS email,
    NULLIF(TRIM(city), '')::VARCHAR AS city,
    NULLIF(TRIM(region), '')::VARCHAR AS region,
    NULLIF(UPPER(TRIM(country)), '')::VARCHAR AS country,
    NULLIF(TRIM(postal_code), '')::VARCHAR AS postal_code,
    NULLIF(LOWER(TRIM(loyalty_tier)), '')::VARCHAR AS loyalty_tier,
    marketing_opt_in::BOOLEAN AS marketing_opt_in,
    created_at::TIMESTAMPNTZ AS customer_created_at,
    GREATEST(
      '1970-01-01'::TIMESTAMPNTZ,
      @believed(COALESCE(updated_at, created_at, _loaded_at), _loaded_at)
    )::TIMESTAMPNTZ AS source_updated_at, /* history begins in 1970, and no version begins after its load */
    _loaded_at::TIMESTAMPNTZ AS event_at,
    _loaded_at::TIMESTAMPNTZ AS _loaded_at,
    _dlt_load_id::VARCHAR AS raw_load_id
  FROM raw.oltp_customers
  WHERE
    _deleted_at IS NULL /* what is deleted at the source stays described: facts of the past name it */
)
SELECT
  *,
  @failed_rules__oltp_customers()::VARCHAR AS rule_ids
FROM typed
