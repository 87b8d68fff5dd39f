MODEL (
  name core._store_zones,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Which time zone holds at a store from when to when: what the facts join their instants to. At most one holds at an instant, so that no join can multiply a fact.',
  grain (store_id, valid_from),
  tags (
    stores
  ),
  audits (
    unique_combination_of_columns(columns := (store_id, valid_from))
  )
);

SELECT
  store_id::BIGINT AS store_id,
  valid_from::TIMESTAMPNTZ AS valid_from,
  valid_to::TIMESTAMPNTZ AS valid_to,
  timezone::VARCHAR AS timezone
FROM (
  SELECT
    store_id,
    timezone,
    valid_from,
    LEAD(valid_from, 1, '9999-12-31'::TIMESTAMPNTZ) OVER (PARTITION BY store_id ORDER BY valid_from, valid_to, timezone) AS valid_to
  FROM core.dim_stores__reference
) AS versions
WHERE
  valid_from < valid_to
