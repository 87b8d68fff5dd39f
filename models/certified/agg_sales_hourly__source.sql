MODEL (
  name certified.agg_sales_hourly__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column sold_hour
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  depends_on (
    gate.sales__@{source}
  ),
  description 'Parts of certified.agg_sales_hourly by UTC hour and source; they add up.',
  grain (sold_hour, business_date, business_hour, store_id, channel),
  tags (
    sales
  )
);

@MARKS_WINDOW(agg_sales_hourly__@{source});

SELECT
  sold_hour::TIMESTAMPNTZ AS sold_hour, /* UTC hour of this part */
  business_date::DATE AS business_date, /* Local date of the store */
  business_hour::INT AS business_hour, /* Local hour of the store, 0 to 23 */
  store_id::BIGINT AS store_id, /* Store; 0 online, -1 not known */
  channel::VARCHAR AS channel, /* store, phone, online, pos or unknown */
  orders::BIGINT AS orders, /* Orders placed that count, neither cancelled nor test; unit: orders */
  units::BIGINT AS units, /* Pieces sold; unit: pieces */
  gross_sales::DECIMAL(38, 4) AS gross_sales, /* Quantity x unit price of everything sold, before discounts, returns, taxes and shipping; unit: company's currency */
  discounts::DECIMAL(38, 4) AS discounts, /* Discounts given, a positive figure; unit: company's currency */
  returns::DECIMAL(38, 4) AS returns, /* Value of goods refunded and of adjustments, a positive figure, on the day of the refund; unit: company's currency */
  net_sales::DECIMAL(38, 4) AS net_sales, /* Gross sales less discounts less returns; unit: company's currency */
  taxes::DECIMAL(38, 4) AS taxes, /* Tax charged less tax refunded; unit: company's currency */
  shipping::DECIMAL(38, 4) AS shipping, /* Shipping charged less shipping refunded; unit: company's currency */
  duties::DECIMAL(38, 4) AS duties, /* Duties charged less duties refunded; unit: company's currency */
  fees::DECIMAL(38, 4) AS fees, /* Fees charged less fees refunded; unit: company's currency */
  total_sales::DECIMAL(38, 4) AS total_sales, /* Net sales plus taxes, shipping, duties and fees; unit: company's currency */
  tips::DECIMAL(38, 4) AS tips, /* Tips given less tips given back; in no sales figure; unit: company's currency */
  gift_cards::DECIMAL(38, 4) AS gift_cards /* Gift cards sold less gift cards given back; in no sales figure; unit: company's currency */
FROM core.agg_sales_hourly__@{source}
WHERE
  sold_hour BETWEEN @start_ts AND @end_ts
