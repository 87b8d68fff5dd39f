MODEL (
  name core.dim_stores,
  kind FULL,
  description 'Stores with their history: core.dim_stores__reference, and every store seen in sales before its reference, inferred. Candidate of certified.dim_stores.',
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

SELECT
  store_id::BIGINT AS store_id, /* Store; 0 is the online shop, -1 stands for an unknown store */
  valid_from::TIMESTAMPNTZ AS valid_from, /* First instant of this version, UTC; 1970-01-01 for the first one */
  valid_to::TIMESTAMPNTZ AS valid_to, /* First instant after this version; 9999-12-31 while it holds */
  is_current::BOOLEAN AS is_current, /* Whether this is the latest version */
  is_inferred::BOOLEAN AS is_inferred, /* Known only from sales; the reference file has not come yet */
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
FROM core.dim_stores__reference
UNION ALL
SELECT
  s.store_id::BIGINT,
  '1970-01-01'::TIMESTAMPNTZ,
  '9999-12-31'::TIMESTAMPNTZ,
  TRUE,
  TRUE,
  (
    'Store ' || s.store_id::VARCHAR
  )::VARCHAR,
  NULL::VARCHAR,
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
FROM core._stores_in_sales AS s
WHERE
  s.store_id > 0
  AND NOT EXISTS(
    SELECT
      1
    FROM core.dim_stores__reference AS v
    WHERE
      v.store_id = s.store_id
  )
