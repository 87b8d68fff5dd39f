MODEL (
  name staging._stores_reference,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'The daily reference rows of every store as loaded, with the rules they break; of a file sent again the latest content. Read staging.stores_reference or quarantine.stores_reference instead.',
  grain (store_id, reference_date),
  tags (
    stores
  )
);

WITH current_content AS (
  SELECT
    store_id,
    name,
    format,
    region,
    city,
    state,
    country,
    timezone,
    opened_on,
    closed_on,
    square_feet,
    manager,
    reference_date,
    file_name,
    file_line,
    _loaded_at,
    _dlt_load_id
  FROM raw.stores_reference
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY store_id, reference_date
      ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC
    ) = 1
), typed AS (
  SELECT
    store_id::BIGINT AS store_id,
    NULLIF(TRIM(name), '')::VARCHAR AS store_name,
    NULLIF(LOWER(TRIM(format)), '')::VARCHAR AS store_format,
    NULLIF(TRIM(region), '')::VARCHAR AS region,
    NULLIF(TRIM(city), '')::VARCHAR AS city,
    NULLIF(TRIM(state), '')::VARCHAR AS state,
    NULLIF(UPPER(TRIM(country)), '')::VARCHAR AS country,
    NULLIF(TRIM(timezone), '')::VARCHAR AS timezone,
    opened_on::DATE AS opened_on,
    closed_on::DATE AS closed_on,
    square_feet::BIGINT AS square_feet,
    NULLIF(TRIM(manager), '')::VARCHAR AS manager,
    reference_date::DATE AS reference_date,
    file_name::VARCHAR AS file_name,
    file_line::BIGINT AS file_line,
    _loaded_at::TIMESTAMPNTZ AS event_at,
    _loaded_at::TIMESTAMPNTZ AS _loaded_at,
    _dlt_load_id::VARCHAR AS raw_load_id
  FROM current_content
)
SELECT
  *,
  @failed_rules__stores_reference()::VARCHAR AS rule_ids
FROM typed
