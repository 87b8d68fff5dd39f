MODEL (
  name core._stores_in_sales,
  kind INCREMENTAL_BY_UNIQUE_KEY (
    unique_key store_id,
    disable_restatement TRUE
  ),
  description 'Every store id that an accepted order ever named, collected hour by hour, so that core.dim_stores can infer a store whose reference is not in yet.',
  grain store_id,
  signals (
    anything_loaded()
  ),
  tags (
    stores
  ),
  audits (not_null(columns := (
      store_id
    )), unique_values(columns := (
      store_id
  )))
);

SELECT
  store_id::BIGINT AS store_id,
  MAX(_loaded_at)::TIMESTAMPNTZ AS last_seen_at
FROM staging.oltp_orders
WHERE
  staged_at >= @start_ts AND NOT store_id IS NULL
GROUP BY
  store_id
