-- How many totals over all stores of each control match, differ for a known reason ("explained") and differ without one,
-- when each of these dates was compared last. A total is one of an entity, a date and a measure.
--
-- Parameters, each with an example:
--   :date_from  '2026-03-01'::DATE  first business date
--   :date_to    '2026-03-08'::DATE  last business date
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements found_controls
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
  SUM(CASE WHEN r.status = 'matched' THEN 1 ELSE 0 END) AS matched,
  SUM(CASE WHEN NOT r.status IN ('matched', 'failed') THEN 1 ELSE 0 END) AS explained,
  SUM(CASE WHEN r.status = 'failed' THEN 1 ELSE 0 END) AS failed
FROM ops.reconciliations AS r
INNER JOIN last_runs AS l
  ON l.control = r.control
  AND l.business_date = r.business_date
  AND l.run_id = r.run_id
WHERE
  r.business_date BETWEEN :date_from AND :date_to AND r.store_id IS NULL
GROUP BY
  r.control
ORDER BY
  r.control
