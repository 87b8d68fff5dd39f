MODEL (
  name certified.finance_close,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Sales figures of closed months as they were when the month was closed.',
  grain (month_first, business_date, store_id, channel),
  tags (
    journal
  )
);

SELECT
  month_first::DATE AS month_first, /* First business date of the closed month */
  closed_at::TIMESTAMPNTZ AS closed_at, /* When the month was closed, UTC */
  business_date::DATE AS business_date, /* Local date of the store */
  store_id::BIGINT AS store_id, /* Store; 0 online, -1 not known */
  channel::VARCHAR AS channel, /* store, phone, online, pos or unknown */
  orders_after::BIGINT AS orders, /* Orders when the month was closed */
  units_after::BIGINT AS units, /* Pieces sold when the month was closed */
  gross_sales_after::DECIMAL(38, 4) AS gross_sales, /* Gross sales when the month was closed */
  discounts_after::DECIMAL(38, 4) AS discounts, /* Discounts when the month was closed */
  returns_after::DECIMAL(38, 4) AS returns, /* Returns when the month was closed */
  net_sales_after::DECIMAL(38, 4) AS net_sales, /* Net sales when the month was closed */
  taxes_after::DECIMAL(38, 4) AS taxes, /* Taxes when the month was closed */
  shipping_after::DECIMAL(38, 4) AS shipping, /* Shipping when the month was closed */
  duties_after::DECIMAL(38, 4) AS duties, /* Duties when the month was closed */
  fees_after::DECIMAL(38, 4) AS fees, /* Fees when the month was closed */
  total_sales_after::DECIMAL(38, 4) AS total_sales, /* Total sales when the month was closed */
  tips_after::DECIMAL(38, 4) AS tips, /* Tips when the month was closed */
  gift_cards_after::DECIMAL(38, 4) AS gift_cards /* Gift cards when the month was closed */
FROM (
  SELECT
    closed.month_first,
    closed.closed_at,
    shown.business_date,
    shown.store_id,
    shown.channel,
    shown.orders_after,
    shown.units_after,
    shown.gross_sales_after,
    shown.discounts_after,
    shown.returns_after,
    shown.net_sales_after,
    shown.taxes_after,
    shown.shipping_after,
    shown.duties_after,
    shown.fees_after,
    shown.total_sales_after,
    shown.tips_after,
    shown.gift_cards_after
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
  INNER JOIN ops.published_changes AS shown
    ON shown.business_date BETWEEN closed.month_first AND closed.month_last
    AND shown.publication <= closed.publication
  WHERE
    closed.status = 'closed' AND shown.table_name = 'agg_sales_daily'
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY closed.month_first, shown.business_date, shown.store_id, shown.channel
      ORDER BY shown.publication DESC
    ) = 1
) AS frozen
WHERE
  NOT orders_after IS NULL
