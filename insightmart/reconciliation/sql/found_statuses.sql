-- How many comparisons of these dates came out how, when each was compared last. Rows of single stores that match are
-- kept only when they are news: how many match is said by the rows over all stores.
--
-- Parameters, each with an example:
--   :date_from  '2026-03-01'::DATE  first business date
--   :date_to    '2026-03-08'::DATE  last business date
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements found_statuses
WITH last_runs AS (
  /* the run that compared a date last says all there is to say of it; not by QUALIFY: DuckDB 1.5 fails on a row number
  that is asked for twice, where the dates end before the last one that is known */
  SELECT
    control,
    business_date,
    MAX_BY(run_id, reconciled_at) AS run_id
  FROM ops.reconciled
  WHERE
    business_date BETWEEN :date_from AND :date_to
  GROUP BY
    control,
    business_date
)
SELECT
  status,
  CAST(SUM(comparisons) AS BIGINT) AS comparisons
FROM (
  SELECT
    r.status,
    1 AS comparisons
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
  UNION ALL
  SELECT
    'matched' AS status,
    r.matched AS comparisons
  FROM ops.reconciliations AS r
  INNER JOIN last_runs AS l
    ON l.control = r.control
    AND l.business_date = r.business_date
    AND l.run_id = r.run_id
  WHERE
    r.business_date BETWEEN :date_from AND :date_to AND r.store_id IS NULL
) AS counted
GROUP BY
  status
HAVING
  SUM(comparisons) > 0
ORDER BY
  status
