-- How many comparisons of a run came out how. Read before forget_repetitions.sql has run.
--
-- Parameters, each with an example:
--   :run_id  'reconcile-20260308T1005'  the run that wrote the comparisons
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements found_statuses
SELECT
  status,
  COUNT(*) AS comparisons
FROM ops.reconciliations
WHERE
  run_id = :run_id AND (
    NOT store_id IS NULL OR control = 'loads'
  )
GROUP BY
  status
ORDER BY
  status
