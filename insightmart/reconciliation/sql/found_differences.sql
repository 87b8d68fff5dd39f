-- Every comparison of a run that does not match, those without an explanation ("failed") first.
--
-- Parameters, each with an example:
--   :run_id  'reconcile-20260308T1005'  the run that wrote the comparisons
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements found_differences
SELECT
  control,
  entity,
  business_date,
  store_id,
  measure,
  source_total,
  raw_total,
  core_total,
  certified_total,
  quarantined_total,
  difference,
  status
FROM ops.reconciliations
WHERE
  run_id = :run_id
  AND (
    NOT store_id IS NULL OR control = 'loads'
  )
  AND status <> 'matched'
ORDER BY
  CASE WHEN status = 'failed' THEN 0 ELSE 1 END,
  business_date,
  control,
  entity,
  store_id,
  measure
