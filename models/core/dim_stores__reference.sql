MODEL (
  name core.dim_stores__reference,
  kind FULL,
  description 'Stores of the reference with their history (SCD2 by reference date), the online shop as store 0 and unknown ones as -1. No order adds to it, so that no source of sales waits for another one.',
  grain (store_id, valid_from),
  signals (
    anything_loaded()
  ),
  tags (
    stores
  ),
  audits (
    not_null(columns := (store_id, valid_from, timezone)),
    unique_combination_of_columns(columns := (store_id, valid_from)),
    periods_are_seamless(key := store_id)
  )
);

WITH described AS (
  SELECT
    store_id,
    store_name,
    store_format,
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
    raw_load_id,
    COALESCE(store_name, '') || '|' || COALESCE(store_format, '') || '|' || COALESCE(region, '') || '|' || COALESCE(city, '') || '|' || COALESCE(state, '') || '|' || COALESCE(country, '') || '|' || timezone || '|' || COALESCE(opened_on::VARCHAR, '') || '|' || COALESCE(closed_on::VARCHAR, '') || '|' || COALESCE(square_feet::VARCHAR, '') || '|' || COALESCE(manager, '') AS attributes
  FROM staging.stores_reference
), changed AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY store_id ORDER BY reference_date) AS position
  FROM described
  QUALIFY
    attributes IS DISTINCT FROM LAG(attributes) OVER (PARTITION BY store_id ORDER BY reference_date)
), versions AS (
  SELECT
    *,
    CASE
      WHEN position = 1
      THEN '1970-01-01'::TIMESTAMPNTZ
      ELSE MAX(CONVERT_TIMEZONE(timezone, 'UTC', reference_date::TIMESTAMPNTZ)) OVER (PARTITION BY store_id ORDER BY reference_date)
    END AS valid_from /* local midnight, so that a business date has one version; never before the version it follows */
  FROM changed
), periods AS (
  SELECT
    *,
    LEAD(valid_from, 1, '9999-12-31'::TIMESTAMPNTZ) OVER (PARTITION BY store_id ORDER BY reference_date) AS valid_to
  FROM versions
)
SELECT
  store_id::BIGINT AS store_id, /* Store; 0 is the online shop, -1 stands for an unknown store */
  valid_from::TIMESTAMPNTZ AS valid_from, /* First instant of this version, UTC; 1970-01-01 for the first one */
  valid_to::TIMESTAMPNTZ AS valid_to, /* First instant after this version; 9999-12-31 while it holds */
  (
    valid_to = '9999-12-31'::TIMESTAMPNTZ
  )::BOOLEAN AS is_current, /* Whether this is the latest version */
  FALSE::BOOLEAN AS is_inferred, /* Known only from sales; the reference file has not come yet */
  store_name::VARCHAR AS store_name, /* Name */
  store_format::VARCHAR AS store_format, /* Format, for example flagship */
  region::VARCHAR AS region, /* Sales region */
  city::VARCHAR AS city, /* City */
  state::VARCHAR AS state, /* State or province */
  country::VARCHAR AS country, /* ISO 3166 country */
  timezone::VARCHAR AS timezone, /* IANA time zone that gives the business date */
  opened_on::DATE AS opened_on, /* First day of trading */
  closed_on::DATE AS closed_on, /* First day without trading; NULL while open */
  square_feet::BIGINT AS square_feet, /* Sales area in square feet */
  manager::VARCHAR AS manager, /* Store manager */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM periods
WHERE
  valid_from < valid_to
UNION ALL
SELECT
  store_id::BIGINT,
  '1970-01-01'::TIMESTAMPNTZ,
  '9999-12-31'::TIMESTAMPNTZ,
  TRUE,
  FALSE,
  store_name::VARCHAR,
  store_format::VARCHAR,
  NULL::VARCHAR,
  NULL::VARCHAR,
  NULL::VARCHAR,
  NULL::VARCHAR,
  @VAR('company_timezone')::VARCHAR,
  NULL::DATE,
  NULL::DATE,
  NULL::BIGINT,
  NULL::VARCHAR,
  NULL::VARCHAR
FROM (VALUES
  (0, 'Online', 'online'),
  (-1, 'Unknown', 'unknown')) AS fixed(store_id, store_name, store_format)
