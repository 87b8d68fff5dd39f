-- Every comparison of these dates that did not match when its date was compared last, those without an explanation
-- ("failed") first.
--
-- Parameters, each with an example:
--   :date_from  '2026-03-01'::DATE  first business date
--   :date_to    '2026-03-08'::DATE  last business date
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements found_differences
WITH last_runs AS (
  /* the run that compared a date last says all there is to say of it */
  SELECT
    control,
    business_date,
    run_id
  FROM ops.reconciled
  WHERE
    business_date BETWEEN :date_from AND :date_to
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY control, business_date ORDER BY reconciled_at DESC) = 1
)
SELECT
  r.control,
  r.entity,
  r.business_date,
  r.store_id,
  r.measure,
  r.source_total,
  r.raw_total,
  r.core_total,
  r.certified_total,
  r.quarantined_total,
  r.difference,
  r.status
FROM ops.reconciliations AS r
INNER JOIN last_runs AS l
  ON l.control = r.control
  AND l.business_date = r.business_date
  AND l.run_id = r.run_id
WHERE
  r.business_date BETWEEN :date_from AND :date_to
  AND r.status <> 'matched'
  AND (
    NOT r.store_id IS NULL OR r.control = 'loads'
  )
ORDER BY
  CASE WHEN r.status = 'failed' THEN 0 ELSE 1 END,
  r.business_date,
  r.control,
  r.entity,
  r.store_id,
  r.measure
