-- Adds up a run's comparisons over the stores: one row (store_id NULL) for every entity, control, date and measure. Its
-- status is the worst of its stores. It says how many comparisons it adds up, and how many of them match.
--
-- Parameters, each with an example:
--   :reconciled_at  '2026-03-08 10:05:00'::TIMESTAMP_NTZ  when that run compared: of other runs nothing is read
--   :run_id         'reconcile-20260308T1005'             the run that wrote the comparisons
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements all_stores
SELECT
  entity,
  control,
  business_date,
  NULL AS store_id,
  measure,
  CAST(SUM(source_total) AS DECIMAL(38, 4)) AS source_total,
  CAST(SUM(raw_total) AS DECIMAL(38, 4)) AS raw_total,
  CAST(SUM(core_total) AS DECIMAL(38, 4)) AS core_total,
  CAST(SUM(certified_total) AS DECIMAL(38, 4)) AS certified_total,
  CAST(SUM(excluded_total) AS DECIMAL(38, 4)) AS excluded_total,
  CAST(SUM(quarantined_total) AS DECIMAL(38, 4)) AS quarantined_total,
  CAST(SUM(difference) AS DECIMAL(38, 4)) AS difference,
  CASE
    WHEN MAX(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) = 1
    THEN 'failed'
    ELSE COALESCE(MAX(CASE WHEN status <> 'matched' THEN status END), 'matched')
  END AS status,
  COUNT(*) AS comparisons,
  SUM(matched) AS matched
FROM ops.reconciliations
WHERE
  run_id = :run_id AND reconciled_at = :reconciled_at AND NOT store_id IS NULL
GROUP BY
  entity,
  control,
  business_date,
  measure
