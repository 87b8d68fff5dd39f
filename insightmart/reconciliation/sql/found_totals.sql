-- What a run compared, added up by control, entity and measure over all dates and stores. Read before
-- forget_repetitions.sql has run, which leaves only what changed.
--
-- Parameters, each with an example:
--   :run_id  'reconcile-20260308T1005'  the run that wrote the comparisons
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements found_totals
SELECT
  control,
  entity,
  measure,
  CAST(SUM(source_total) AS DECIMAL(38, 4)) AS source_total,
  CAST(SUM(raw_total) AS DECIMAL(38, 4)) AS raw_total,
  CAST(SUM(core_total) AS DECIMAL(38, 4)) AS core_total,
  CAST(SUM(certified_total) AS DECIMAL(38, 4)) AS certified_total,
  CAST(SUM(excluded_total) AS DECIMAL(38, 4)) AS excluded_total,
  CAST(SUM(quarantined_total) AS DECIMAL(38, 4)) AS quarantined_total,
  CAST(SUM(difference) AS DECIMAL(38, 4)) AS difference,
  COUNT(*) AS comparisons
FROM ops.reconciliations
WHERE
  run_id = :run_id AND (
    NOT store_id IS NULL OR control = 'loads'
  )
GROUP BY
  control,
  entity,
  measure
ORDER BY
  control,
  entity,
  measure
