MODEL (
  name gate.@{area},
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  blueprints (
    (area := sales, first := oltp, second := shopify),
    (area := inventory, first := stores, second := shopify)
  ),
  description 'Every window of the area that passed its gate, over both sources.',
  grain (source, window_start)
);

SELECT
  @text(@first)::VARCHAR AS source,
  window_start,
  window_end,
  scan_id,
  checks_passed,
  checks_warned,
  scanned_at
FROM gate.@{area}__@{first}
UNION ALL
SELECT
  @text(@second)::VARCHAR AS source,
  window_start,
  window_end,
  scan_id,
  checks_passed,
  checks_warned,
  scanned_at
FROM gate.@{area}__@{second}
