-- Ties rows and money of each source from raw to certified, by business date and store: what raw holds in its latest
-- version = accepted + excluded + quarantined in staging; accepted = core; core = certified. The first step on the way
-- that does not add up is the difference. It adds up the hours that rows_*.sql counted: only what happened before its
-- part is certified through is there.
--
-- Parameters, each with an example:
--   :date_from    '2026-03-01'::DATE                first business date
--   :date_to      '2026-03-08'::DATE                last business date
--   :events_from  '2026-02-28 10:00'::TIMESTAMPNTZ  before the first business date begins anywhere on earth, UTC
--   :events_to    '2026-03-09 12:00'::TIMESTAMPNTZ  after the last business date has ended everywhere, UTC
--
-- To run it alone, print it with the examples in place:
--   python -m insightmart.reconciliation.statements rows
WITH layers AS (
  SELECT
    entity,
    layer,
    business_date,
    store_id,
    SUM(row_count) AS row_count,
    SUM(amount) AS amount
  FROM ops.control_totals
  WHERE
    event_hour >= :events_from
    AND event_hour < :events_to
    AND business_date BETWEEN :date_from AND :date_to
  GROUP BY
    entity,
    layer,
    business_date,
    store_id
), measures AS (
  SELECT
    v.entity,
    v.layer,
    v.business_date,
    v.store_id,
    m.measure,
    CASE m.measure
      WHEN 'rows'
      THEN CAST(v.row_count AS DECIMAL(38, 4))
      ELSE CAST(v.amount AS DECIMAL(38, 4))
    END AS total
  FROM layers AS v
  CROSS JOIN (VALUES
    ('rows'),
    ('amount')) AS m(measure)
), totals AS (
  SELECT
    entity,
    business_date,
    store_id,
    measure,
    CAST(SUM(CASE WHEN layer = 'raw' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS raw_total,
    CAST(SUM(CASE WHEN layer = 'accepted' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS accepted_total,
    CAST(SUM(CASE WHEN layer = 'excluded' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS excluded_total,
    CAST(SUM(CASE WHEN layer = 'quarantined' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS quarantined_total,
    CAST(SUM(CASE WHEN layer = 'core' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS core_total,
    CAST(SUM(CASE WHEN layer = 'certified' THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS certified_total
  FROM measures
  GROUP BY
    entity,
    business_date,
    store_id,
    measure
), compared AS (
  SELECT
    entity,
    business_date,
    store_id,
    measure,
    raw_total,
    core_total,
    certified_total,
    excluded_total,
    quarantined_total,
    CASE
      WHEN raw_total <> accepted_total + excluded_total + quarantined_total
      THEN raw_total - accepted_total - excluded_total - quarantined_total
      WHEN accepted_total <> core_total
      THEN accepted_total - core_total
      ELSE core_total - certified_total
    END AS difference
  FROM totals
), days AS (
  SELECT DISTINCT
    entity,
    SPLIT_PART(entity, '_', 1) AS source,
    CASE WHEN entity LIKE '%inventory' THEN 'inventory' ELSE 'sales' END AS subject,
    business_date
  FROM compared
), corrected AS (
  /* business dates that an open correction window may change */
  SELECT DISTINCT
    d.entity,
    d.business_date
  FROM days AS d
  INNER JOIN ops.correction_windows AS w
    ON w.window_start < CAST(d.business_date AS TIMESTAMPNTZ) + INTERVAL '36 HOURS'
    AND w.window_end > CAST(d.business_date AS TIMESTAMPNTZ) - INTERVAL '14 HOURS'
  WHERE
    w.status = 'open'
    AND w.window_end > :events_from
    AND w.window_start < :events_to
    AND (
      (
        w.source = d.source AND w.entity = d.subject
      ) OR w.source = 'manual'
    )
)
SELECT
  t.entity,
  'rows' AS control,
  t.business_date,
  t.store_id,
  t.measure,
  NULL AS source_total,
  t.raw_total,
  t.core_total,
  t.certified_total,
  t.excluded_total,
  t.quarantined_total,
  t.difference,
  CASE
    WHEN t.difference = 0
    THEN 'matched'
    WHEN NOT c.business_date IS NULL
    THEN 'correction open'
    ELSE 'failed'
  END AS status
FROM compared AS t
LEFT JOIN corrected AS c
  ON c.entity = t.entity AND c.business_date = t.business_date
