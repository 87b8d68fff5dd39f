-- Deletes the store rows of a run that match and repeat what was last recorded for the same store, date and measure: so
-- ops.reconciliations holds a store's day once, and again whenever its figures change. Rows over all stores stay.
--
-- It writes: an analyst reads it, and leaves it to the pipeline.
--
-- Parameters, each with an example:
--   :date_from      '2026-03-01'::DATE                    first business date
--   :date_to        '2026-03-08'::DATE                    last business date
--   :reconciled_at  '2026-03-08 10:05:00'::TIMESTAMP_NTZ  when that run compared: of other runs, only these dates are read
--   :run_id         'reconcile-20260308T1005'             the run that wrote the comparisons
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements forget_repetitions
DELETE FROM ops.reconciliations
WHERE
  run_id = :run_id
  AND reconciled_at = :reconciled_at
  AND status = 'matched'
  AND NOT store_id IS NULL
  AND (
    entity,
    control,
    business_date,
    store_id,
    measure,
    COALESCE(CAST(source_total AS VARCHAR), ''),
    COALESCE(CAST(raw_total AS VARCHAR), ''),
    COALESCE(CAST(core_total AS VARCHAR), ''),
    COALESCE(CAST(certified_total AS VARCHAR), ''),
    COALESCE(CAST(excluded_total AS VARCHAR), ''),
    COALESCE(CAST(quarantined_total AS VARCHAR), '')
  ) IN (
    SELECT
      entity,
      control,
      business_date,
      store_id,
      measure,
      COALESCE(CAST(source_total AS VARCHAR), ''),
      COALESCE(CAST(raw_total AS VARCHAR), ''),
      COALESCE(CAST(core_total AS VARCHAR), ''),
      COALESCE(CAST(certified_total AS VARCHAR), ''),
      COALESCE(CAST(excluded_total AS VARCHAR), ''),
      COALESCE(CAST(quarantined_total AS VARCHAR), '')
    FROM (
      SELECT
        *
      FROM ops.reconciliations
      WHERE
        run_id <> :run_id
        AND NOT store_id IS NULL
        AND business_date BETWEEN :date_from AND :date_to
      QUALIFY
        ROW_NUMBER() OVER (
          PARTITION BY entity, control, business_date, store_id, measure
          ORDER BY reconciled_at DESC
        ) = 1
    ) AS earlier
    WHERE
      status = 'matched'
  )
