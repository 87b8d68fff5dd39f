MODEL (
  name staging._stores_tills,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'The closing figures that each store sent for a business date, with the rules they break; of a file sent again the latest content. Control totals, not sales: nothing in core is built from them.',
  grain (store_id, business_date),
  tags (stores, reconciliation)
);

WITH current_content AS (
  SELECT
    store_id,
    business_date,
    transactions,
    gross_sales,
    discounts,
    returns,
    net_sales,
    file_name,
    file_line,
    _loaded_at,
    _dlt_load_id
  FROM raw.stores_tills
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY store_id, business_date
      ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC
    ) = 1
), typed AS (
  SELECT
    store_id::BIGINT AS store_id,
    business_date::DATE AS business_date,
    transactions::BIGINT AS transactions,
    gross_sales::DECIMAL(18, 4) AS gross_sales,
    discounts::DECIMAL(18, 4) AS discounts,
    returns::DECIMAL(18, 4) AS returns,
    net_sales::DECIMAL(18, 4) AS net_sales,
    file_name::VARCHAR AS file_name,
    file_line::BIGINT AS file_line,
    _loaded_at::TIMESTAMPNTZ AS event_at,
    _loaded_at::TIMESTAMPNTZ AS _loaded_at,
    _dlt_load_id::VARCHAR AS raw_load_id
  FROM current_content
)
SELECT
  *,
  @failed_rules__stores_tills()::VARCHAR AS rule_ids
FROM typed
