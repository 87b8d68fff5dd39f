AUDIT (
  name periods_are_seamless,
  defaults (
    condition = TRUE
  )
);

/* Versions of one key neither overlap nor leave a hole, and cover all time: a point in time finds exactly one. */
SELECT
  *
FROM (
  SELECT
    @key AS version_of,
    valid_from,
    valid_to,
    LAG(valid_to, 1, '1970-01-01'::TIMESTAMPNTZ) OVER (PARTITION BY @key ORDER BY valid_from, valid_to) AS previous_valid_to,
    LEAD(valid_from, 1, '9999-12-31'::TIMESTAMPNTZ) OVER (PARTITION BY @key ORDER BY valid_from, valid_to) AS next_valid_from
  FROM @this_model
  WHERE
    @condition
) AS versions
WHERE
  valid_from >= valid_to
  OR valid_from <> previous_valid_to
  OR valid_to <> next_valid_from
