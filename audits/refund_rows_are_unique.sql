AUDIT (
  name refund_rows_are_unique
);

/* line_number may be NULL (refund of a whole order, of shipping), which a plain uniqueness audit would not compare. */
SELECT
  source_system,
  refund_id,
  COALESCE(line_number, -1) AS line_number,
  COUNT(*) AS row_count
FROM @this_model
GROUP BY
  source_system,
  refund_id,
  COALESCE(line_number, -1)
HAVING
  COUNT(*) > 1
