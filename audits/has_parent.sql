AUDIT (
  name has_parent,
  defaults (
    condition = TRUE
  )
);

/* Every row of the child model in the window finds its row here. */
SELECT
  child.@key
FROM @child AS child
LEFT JOIN (
  SELECT DISTINCT
    @key
  FROM @this_model
) AS parent
  ON parent.@key = child.@key
WHERE
  child.@instant BETWEEN @start_ts AND @end_ts
  AND parent.@key IS NULL
  AND @condition
