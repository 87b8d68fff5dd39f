MODEL (
  name certified.published_changes,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'What was published when: each change of a figure of the daily aggregates, with its reason.',
  grain (publication, table_name, business_date, store_id, channel),
  tags (
    journal
  )
);

SELECT
  publication::BIGINT AS publication, /* When the change was written down, in microseconds since 1970 UTC; one writing of the journal */
  published_at::TIMESTAMPNTZ AS published_at, /* Now of the run that published it, UTC */
  recorded_at::TIMESTAMPNTZ AS recorded_at, /* When it was written down by the machine's clock, UTC */
  table_name::VARCHAR AS table_name, /* Aggregate of certified whose figure changed; of agg_inventory_daily the sums of a store */
  business_date::DATE AS business_date, /* Local date of the store that the figure is of */
  store_id::BIGINT AS store_id, /* Store; 0 online, -1 not known */
  channel::VARCHAR AS channel, /* Channel of sales; NULL for stock */
  orders_before::BIGINT AS orders_before, /* Orders as shown before; NULL where nothing was */
  orders_after::BIGINT AS orders_after, /* Orders as shown since; NULL where nothing is any more */
  units_before::BIGINT AS units_before, /* Pieces sold as shown before; NULL where nothing was */
  units_after::BIGINT AS units_after, /* Pieces sold as shown since; NULL where nothing is any more */
  gross_sales_before::DECIMAL(38, 4) AS gross_sales_before, /* Gross sales as shown before; NULL where nothing was */
  gross_sales_after::DECIMAL(38, 4) AS gross_sales_after, /* Gross sales as shown since; NULL where nothing is any more */
  discounts_before::DECIMAL(38, 4) AS discounts_before, /* Discounts as shown before; NULL where nothing was */
  discounts_after::DECIMAL(38, 4) AS discounts_after, /* Discounts as shown since; NULL where nothing is any more */
  returns_before::DECIMAL(38, 4) AS returns_before, /* Returns as shown before; NULL where nothing was */
  returns_after::DECIMAL(38, 4) AS returns_after, /* Returns as shown since; NULL where nothing is any more */
  net_sales_before::DECIMAL(38, 4) AS net_sales_before, /* Net sales as shown before; NULL where nothing was */
  net_sales_after::DECIMAL(38, 4) AS net_sales_after, /* Net sales as shown since; NULL where nothing is any more */
  taxes_before::DECIMAL(38, 4) AS taxes_before, /* Taxes as shown before; NULL where nothing was */
  taxes_after::DECIMAL(38, 4) AS taxes_after, /* Taxes as shown since; NULL where nothing is any more */
  shipping_before::DECIMAL(38, 4) AS shipping_before, /* Shipping as shown before; NULL where nothing was */
  shipping_after::DECIMAL(38, 4) AS shipping_after, /* Shipping as shown since; NULL where nothing is any more */
  duties_before::DECIMAL(38, 4) AS duties_before, /* Duties as shown before; NULL where nothing was */
  duties_after::DECIMAL(38, 4) AS duties_after, /* Duties as shown since; NULL where nothing is any more */
  fees_before::DECIMAL(38, 4) AS fees_before, /* Fees as shown before; NULL where nothing was */
  fees_after::DECIMAL(38, 4) AS fees_after, /* Fees as shown since; NULL where nothing is any more */
  total_sales_before::DECIMAL(38, 4) AS total_sales_before, /* Total sales as shown before; NULL where nothing was */
  total_sales_after::DECIMAL(38, 4) AS total_sales_after, /* Total sales as shown since; NULL where nothing is any more */
  tips_before::DECIMAL(38, 4) AS tips_before, /* Tips as shown before; NULL where nothing was */
  tips_after::DECIMAL(38, 4) AS tips_after, /* Tips as shown since; NULL where nothing is any more */
  gift_cards_before::DECIMAL(38, 4) AS gift_cards_before, /* Gift cards as shown before; NULL where nothing was */
  gift_cards_after::DECIMAL(38, 4) AS gift_cards_after, /* Gift cards as shown since; NULL where nothing is any more */
  products_before::BIGINT AS products_before, /* Products with a count as shown before; NULL where nothing was */
  products_after::BIGINT AS products_after, /* Products with a count as shown since; NULL where nothing is any more */
  closing_on_hand_before::BIGINT AS closing_on_hand_before, /* Pieces on hand at the end of the day as shown before; NULL where nothing was */
  closing_on_hand_after::BIGINT AS closing_on_hand_after, /* Pieces on hand at the end of the day as shown since; NULL where nothing is any more */
  counted_hours_before::BIGINT AS counted_hours_before, /* Product hours with a count as shown before; NULL where nothing was */
  counted_hours_after::BIGINT AS counted_hours_after, /* Product hours with a count as shown since; NULL where nothing is any more */
  stockout_hours_before::BIGINT AS stockout_hours_before, /* Product hours with nothing on hand as shown before; NULL where nothing was */
  stockout_hours_after::BIGINT AS stockout_hours_after, /* Product hours with nothing on hand as shown since; NULL where nothing is any more */
  cause::VARCHAR AS cause, /* first, new hours, late rows, released, restated, changed rule or model, or unexplained */
  loads::VARCHAR AS loads, /* Loads that brought late or released rows, as in ops.loads */
  windows::VARCHAR AS windows, /* Entries of ops.correction_windows that it was restated for */
  scan_ids::VARCHAR AS scan_ids, /* Scans that let it through, as in ops.check_results */
  run_id::VARCHAR AS run_id, /* Run that published it, as in ops.runs */
  plan_id::VARCHAR AS plan_id, /* Plan of SQLMesh that published it; NULL for a run */
  git_sha::VARCHAR AS git_sha /* Commit that it was published with */
FROM ops.published_changes
