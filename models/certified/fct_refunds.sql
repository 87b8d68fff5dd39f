MODEL (
  name certified.fct_refunds,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'Refunds on the day of the refund; one row is one refunded line, or the part of a refund that belongs to no line.',
  grain (source_system, refund_id, line_number),
  tags (
    sales
  )
);

SELECT
  source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  refund_id::VARCHAR AS refund_id, /* The refund's number in its source system; order:NUMBER for what was given back on the order itself */
  line_number::BIGINT AS line_number, /* Refunded line; NULL for a whole order, shipping or an unknown line */
  order_id::VARCHAR AS order_id, /* Refunded order; NULL or without a match when not known */
  refunded_at::TIMESTAMPNTZ AS refunded_at, /* When the money was given back, UTC */
  business_date::DATE AS business_date, /* Local date of the store at the refund */
  business_hour::INT AS business_hour, /* Local hour of the store at the refund, 0 to 23 */
  store_id::BIGINT AS store_id, /* Store of the order; 0 online, -1 order not known */
  channel::VARCHAR AS channel, /* Channel of the order; unknown when the order is not known */
  sku::VARCHAR AS sku, /* Product of the refunded line */
  quantity::BIGINT AS quantity, /* Pieces returned */
  refund_amount::DECIMAL(18, 4) AS refund_amount, /* Value of the goods given back, without refunded tax where the source states it apart */
  tax_amount::DECIMAL(18, 4) AS tax_amount, /* Refunded tax */
  shipping_amount::DECIMAL(18, 4) AS shipping_amount, /* Refunded shipping */
  refund_reason::VARCHAR AS refund_reason, /* Reason as the source states it */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM certified.fct_refunds__oltp
UNION ALL
SELECT
  source_system,
  refund_id,
  line_number,
  order_id,
  refunded_at,
  business_date,
  business_hour,
  store_id,
  channel,
  sku,
  quantity,
  refund_amount,
  tax_amount,
  shipping_amount,
  refund_reason,
  source_updated_at,
  raw_load_id
FROM certified.fct_refunds__shopify
