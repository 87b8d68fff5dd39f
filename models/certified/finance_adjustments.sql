MODEL (
  name certified.finance_adjustments,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'What changed in closed months since they were closed: each change of a figure, by how much and why.',
  grain (month_first, publication, business_date, store_id, channel),
  tags (
    journal
  )
);

SELECT
  closed.month_first::DATE AS month_first, /* First business date of the closed month */
  closed.closed_at::TIMESTAMPNTZ AS closed_at, /* When the month was closed, UTC */
  changed.publication::BIGINT AS publication, /* When the change was written down, in microseconds since 1970 UTC; one writing of the journal */
  changed.published_at::TIMESTAMPNTZ AS published_at, /* Now of the run that published it, UTC */
  changed.business_date::DATE AS business_date, /* Local date of the store */
  changed.store_id::BIGINT AS store_id, /* Store; 0 online, -1 not known */
  changed.channel::VARCHAR AS channel, /* store, phone, online, pos or unknown */
  (
    COALESCE(changed.orders_after, 0) - COALESCE(changed.orders_before, 0)
  )::BIGINT AS orders, /* By how much orders changed */
  (
    COALESCE(changed.units_after, 0) - COALESCE(changed.units_before, 0)
  )::BIGINT AS units, /* By how much pieces sold changed */
  (
    COALESCE(changed.gross_sales_after, 0) - COALESCE(changed.gross_sales_before, 0)
  )::DECIMAL(38, 4) AS gross_sales, /* By how much gross sales changed */
  (
    COALESCE(changed.discounts_after, 0) - COALESCE(changed.discounts_before, 0)
  )::DECIMAL(38, 4) AS discounts, /* By how much discounts changed */
  (
    COALESCE(changed.returns_after, 0) - COALESCE(changed.returns_before, 0)
  )::DECIMAL(38, 4) AS returns, /* By how much returns changed */
  (
    COALESCE(changed.net_sales_after, 0) - COALESCE(changed.net_sales_before, 0)
  )::DECIMAL(38, 4) AS net_sales, /* By how much net sales changed */
  (
    COALESCE(changed.taxes_after, 0) - COALESCE(changed.taxes_before, 0)
  )::DECIMAL(38, 4) AS taxes, /* By how much taxes changed */
  (
    COALESCE(changed.shipping_after, 0) - COALESCE(changed.shipping_before, 0)
  )::DECIMAL(38, 4) AS shipping, /* By how much shipping changed */
  (
    COALESCE(changed.duties_after, 0) - COALESCE(changed.duties_before, 0)
  )::DECIMAL(38, 4) AS duties, /* By how much duties changed */
  (
    COALESCE(changed.fees_after, 0) - COALESCE(changed.fees_before, 0)
  )::DECIMAL(38, 4) AS fees, /* By how much fees changed */
  (
    COALESCE(changed.total_sales_after, 0) - COALESCE(changed.total_sales_before, 0)
  )::DECIMAL(38, 4) AS total_sales, /* By how much total sales changed */
  (
    COALESCE(changed.tips_after, 0) - COALESCE(changed.tips_before, 0)
  )::DECIMAL(38, 4) AS tips, /* By how much tips changed */
  (
    COALESCE(changed.gift_cards_after, 0) - COALESCE(changed.gift_cards_before, 0)
  )::DECIMAL(38, 4) AS gift_cards, /* By how much gift cards changed */
  changed.cause::VARCHAR AS cause, /* late rows, released, restated, changed rule or model, unexplained, first or new hours */
  changed.loads::VARCHAR AS loads, /* Loads that brought late or released rows, as in ops.loads */
  changed.windows::VARCHAR AS windows, /* Entries of ops.correction_windows that it was restated for */
  changed.run_id::VARCHAR AS run_id, /* Run that published it, as in ops.runs */
  changed.plan_id::VARCHAR AS plan_id, /* Plan of SQLMesh that published it; NULL for a run */
  changed.git_sha::VARCHAR AS git_sha /* Commit that it was published with */
FROM (
  SELECT
    month_first,
    month_last,
    status,
    publication,
    closed_at
  FROM ops.closes
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY month_first ORDER BY recorded_at DESC) = 1
) AS closed
INNER JOIN ops.published_changes AS changed
  ON changed.business_date BETWEEN closed.month_first AND closed.month_last
  AND changed.publication > closed.publication
WHERE
  closed.status = 'closed' AND changed.table_name = 'agg_sales_daily'
