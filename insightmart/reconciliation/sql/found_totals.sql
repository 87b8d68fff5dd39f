-- What these dates came to when each was compared last, added up by control, entity and measure over all dates and
-- stores: from the rows over all stores, which say how many comparisons they add up.
--
-- Parameters, each with an example:
--   :date_from  '2026-03-01'::DATE  first business date
--   :date_to    '2026-03-08'::DATE  last business date
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements found_totals
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
  r.measure,
  CAST(SUM(r.source_total) AS DECIMAL(38, 4)) AS source_total,
  CAST(SUM(r.raw_total) AS DECIMAL(38, 4)) AS raw_total,
  CAST(SUM(r.core_total) AS DECIMAL(38, 4)) AS core_total,
  CAST(SUM(r.certified_total) AS DECIMAL(38, 4)) AS certified_total,
  CAST(SUM(r.excluded_total) AS DECIMAL(38, 4)) AS excluded_total,
  CAST(SUM(r.quarantined_total) AS DECIMAL(38, 4)) AS quarantined_total,
  CAST(SUM(r.difference) AS DECIMAL(38, 4)) AS difference,
  CAST(SUM(r.comparisons) AS BIGINT) AS comparisons
FROM ops.reconciliations AS r
INNER JOIN last_runs AS l
  ON l.control = r.control
  AND l.business_date = r.business_date
  AND l.run_id = r.run_id
WHERE
  r.business_date BETWEEN :date_from AND :date_to AND r.store_id IS NULL
GROUP BY
  r.control,
  r.entity,
  r.measure
ORDER BY
  r.control,
  r.entity,
  r.measure
