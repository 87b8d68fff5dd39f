AUDIT (
  name sums_agree,
  defaults (
    condition = TRUE
  )
);

/* A sum over the window of this model is the same sum over the window of the model it was made of, exactly. */
SELECT
  ours.total AS our_total,
  theirs.total AS their_total
FROM (
  SELECT
    COALESCE(SUM(@measure), 0) AS total
  FROM @this_model
) AS ours
CROSS JOIN (
  SELECT
    COALESCE(SUM(@theirs), 0) AS total
  FROM @made_of
  WHERE
    @instant BETWEEN @start_ts AND @end_ts AND @condition
) AS theirs
WHERE
  ours.total <> theirs.total
