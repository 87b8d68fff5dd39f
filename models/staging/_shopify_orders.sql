MODEL (
  name staging._shopify_orders,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Latest version of every online order, its amounts added up from the sales ledger of the shop, with the rules it breaks; one row is one order. Read staging.shopify_orders or quarantine.shopify_orders instead.',
  grain order_id,
  tags (sales, shopify),
  signals (
    source_covered(entities := 'shopify.orders')
  )
);

WITH ledger AS (
  SELECT
    order_id,
    COUNT(*) AS sales,
    MAX(GREATEST(ABS(total_amount), ABS(tax_amount), ABS(discount_amount))) AS greatest_sale,
    COUNT(CASE WHEN is_unknown THEN 1 END) AS unknown_sales,
    COUNT(CASE WHEN is_unclear THEN 1 END) AS unclear_lines,
    MIN(currency) AS least_currency,
    MAX(currency) AS greatest_currency,
    SUM(
      CASE WHEN is_placed AND is_line AND NOT is_returned THEN discount_amount ELSE 0 END
    ) AS discount_amount,
    SUM(CASE WHEN is_placed THEN tax_amount ELSE 0 END) AS tax_amount,
    SUM(CASE WHEN is_placed AND line_type = 'SHIPPING' THEN net_amount ELSE 0 END) AS shipping_amount,
    SUM(CASE WHEN is_placed AND line_type = 'DUTY' THEN net_amount ELSE 0 END) AS duties_amount,
    SUM(
      CASE
        WHEN is_placed AND line_type IN ('FEE', 'ADDITIONAL_FEE')
        THEN net_amount
        ELSE 0
      END
    ) AS fees_amount,
    SUM(CASE WHEN is_placed AND line_type = 'TIP' THEN net_amount ELSE 0 END) AS tips_amount,
    SUM(CASE WHEN is_placed AND line_type = 'GIFT_CARD' THEN net_amount ELSE 0 END) AS gift_cards_amount,
    SUM(CASE WHEN is_placed THEN total_amount ELSE 0 END) AS parts_amount
  FROM staging._shopify_sales
  WHERE
    event_at BETWEEN @start_ts AND @end_ts
  GROUP BY
    order_id
), typed AS (
  SELECT
    h.source_system,
    h.order_id,
    h.customer_id,
    h.store_id,
    h.channel,
    h.order_status,
    h.is_counted,
    h.currency,
    h.ordered_at,
    COALESCE(l.discount_amount, 0)::DECIMAL(38, 4) AS discount_amount,
    COALESCE(l.tax_amount, 0)::DECIMAL(38, 4) AS tax_amount,
    COALESCE(l.shipping_amount, 0)::DECIMAL(38, 4) AS shipping_amount,
    COALESCE(l.duties_amount, 0)::DECIMAL(38, 4) AS duties_amount,
    COALESCE(l.fees_amount, 0)::DECIMAL(38, 4) AS fees_amount,
    COALESCE(l.tips_amount, 0)::DECIMAL(38, 4) AS tips_amount,
    COALESCE(l.gift_cards_amount, 0)::DECIMAL(38, 4) AS gift_cards_amount,
    h.total_amount,
    h.cash_rounding_amount,
    h.source_updated_at,
    h.event_at,
    h._loaded_at,
    h.raw_load_id,
    COALESCE(l.sales, 0) AS sales,
    COALESCE(l.greatest_sale, 0) AS greatest_sale,
    COALESCE(l.unknown_sales, 0) AS unknown_sales,
    COALESCE(l.unclear_lines, 0) AS unclear_lines,
    COALESCE(l.least_currency, h.currency) AS least_currency,
    COALESCE(l.greatest_currency, h.currency) AS greatest_currency,
    COALESCE(l.parts_amount, 0) AS parts_amount
  FROM staging._shopify_order_headers AS h
  LEFT JOIN ledger AS l
    ON l.order_id = h.order_id
  WHERE
    h.event_at BETWEEN @start_ts AND @end_ts
)
SELECT
  *
  EXCLUDE (sales, unknown_sales, greatest_sale, unclear_lines, least_currency, greatest_currency, parts_amount),
  @failed_rules__shopify_orders()::VARCHAR AS rule_ids,
  @execution_ts::TIMESTAMPNTZ AS staged_at /* dimensions look at what has been judged since they looked last */
FROM typed
