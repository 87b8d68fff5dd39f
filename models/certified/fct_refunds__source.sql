MODEL (
  name certified.fct_refunds__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column refunded_at
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  depends_on (
    gate.sales__@{source}
  ),
  clustered_by (business_date, store_id),
  description 'One source of certified.fct_refunds: exactly the windows that the gate has scanned.',
  grain (source_system, refund_id, line_number),
  tags (
    sales
  )
);

SELECT
  source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  refund_id::VARCHAR AS refund_id, /* The refund's number in its source system; order:NUMBER for what was given back on the order itself, agreement:NUMBER for an edit or return without a refund */
  line_number::BIGINT AS line_number, /* Refunded line; NULL for a whole order, shipping or an unknown line */
  order_id::VARCHAR AS order_id, /* Refunded order; NULL or without a match when not known */
  refunded_at::TIMESTAMPNTZ AS refunded_at, /* When the money was given back, UTC */
  business_date::DATE AS business_date, /* Local date of the store at the refund */
  business_hour::INT AS business_hour, /* Local hour of the store at the refund, 0 to 23 */
  store_id::BIGINT AS store_id, /* Store of the order; 0 online, -1 order not known */
  channel::VARCHAR AS channel, /* Channel of the order; unknown when the order is not known */
  sku::VARCHAR AS sku, /* Product of the refunded line */
  quantity::BIGINT AS quantity, /* Pieces returned */
  refund_amount::DECIMAL(18, 4) AS refund_amount, /* Value of the goods given back, and of adjustments, without refunded tax where the source states it apart */
  adjustment_amount::DECIMAL(18, 4) AS adjustment_amount, /* Part of refund_amount that is no goods but a price that was changed, or paid back beyond or below their value; below zero where less was paid back */
  tax_amount::DECIMAL(18, 4) AS tax_amount, /* Refunded tax; below zero where tax was added */
  shipping_amount::DECIMAL(18, 4) AS shipping_amount, /* Refunded shipping; below zero where shipping was added */
  duties_amount::DECIMAL(18, 4) AS duties_amount, /* Refunded duties; below zero where duties were added */
  fees_amount::DECIMAL(18, 4) AS fees_amount, /* Refunded fees; below zero where a fee was charged, as for restocking */
  tips_amount::DECIMAL(18, 4) AS tips_amount, /* Refunded tips; below zero where a tip was added */
  gift_cards_amount::DECIMAL(18, 4) AS gift_cards_amount, /* Refunded gift cards; below zero where gift cards were added */
  refund_reason::VARCHAR AS refund_reason, /* Reason as the source states it */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM core.fct_refunds__@{source}
WHERE
  refunded_at BETWEEN @start_ts AND @end_ts
