-- Controls and dates that have to be compared again even when nothing changes: what differed may be explained by now, and
-- what waits may have waited for too long. Nothing but its arrival makes a till or a report come that is missing.
--
-- Parameters, each with an example:
--   :date_from  '2026-03-01'::DATE  first business date
--   :date_to    '2026-03-08'::DATE  last business date
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements found_unsettled
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
SELECT DISTINCT
  r.control,
  r.business_date
FROM ops.reconciliations AS r
INNER JOIN last_runs AS l
  ON l.control = r.control
  AND l.business_date = r.business_date
  AND l.run_id = r.run_id
WHERE
  r.business_date BETWEEN :date_from AND :date_to
  AND (
    r.status IN ('failed', 'correction open', 'edited meanwhile')
    OR (
      r.status = 'pending' AND NOT r.source_total IS NULL
    )
  )
  AND (
    NOT r.store_id IS NULL OR r.control = 'loads'
  )
