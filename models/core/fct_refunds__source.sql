MODEL (
  name core.fct_refunds__@{source},
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column refunded_at
  ),
  blueprints ((
      source := oltp
    ), (
      source := shopify
  )),
  description 'Refunds that count, on the day of the refund, with store and channel of their order; -1 and unknown where the order is not known. Candidate of certified.fct_refunds.',
  grain (source_system, refund_id, line_number),
  tags (
    sales
  ),
  audits (
    not_null(
      columns := (
        refund_id,
        refunded_at,
        business_date,
        business_hour,
        store_id,
        channel,
        refund_amount
      )
    ),
    refund_rows_are_unique,
    forall(
      criteria := (refund_amount >= 0, (
          store_id = -1
        ) = (
          channel = 'unknown'
      ))
    )
  )
);

WITH refunds AS (
  SELECT
    source_system,
    refund_id,
    line_number,
    order_id,
    refunded_at,
    COALESCE(store_id, -1) AS store_id, /* the order is not known: money that left the company all the same */
    COALESCE(channel, 'unknown') AS channel,
    MIN(sku) AS sku,
    SUM(quantity) AS quantity, /* Shopify splits a refunded item by what becomes of the goods */
    SUM(refund_amount) AS refund_amount,
    SUM(tax_amount) AS tax_amount,
    SUM(shipping_amount) AS shipping_amount,
    MIN(refund_reason) AS refund_reason,
    MAX(source_updated_at) AS source_updated_at,
    MAX(raw_load_id) AS raw_load_id
  FROM staging._@{source}_refunds
  WHERE
    rule_ids IS NULL
    AND is_counted
    AND event_at BETWEEN @start_ts AND @end_ts
    AND refunded_at BETWEEN @start_ts AND @end_ts
  GROUP BY
    source_system,
    refund_id,
    line_number,
    order_id,
    refunded_at,
    COALESCE(store_id, -1),
    COALESCE(channel, 'unknown')
), placed AS (
  SELECT
    r.*,
    CONVERT_TIMEZONE('UTC', COALESCE(z.timezone, @VAR('company_timezone')), r.refunded_at) AS refunded_at_local
  FROM refunds AS r
  LEFT JOIN core._store_zones AS z
    ON z.store_id = r.store_id
    AND r.refunded_at >= z.valid_from
    AND r.refunded_at < z.valid_to
)
SELECT
  source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  refund_id::VARCHAR AS refund_id, /* The refund's number in its source system */
  line_number::BIGINT AS line_number, /* Refunded line; NULL for a whole order, shipping or an unknown line */
  order_id::VARCHAR AS order_id, /* Refunded order; NULL or without a match when not known */
  refunded_at::TIMESTAMPNTZ AS refunded_at, /* When the money was given back, UTC */
  refunded_at_local::DATE AS business_date, /* Local date of the store at the refund */
  DATE_PART(HOUR, refunded_at_local)::INT AS business_hour, /* Local hour of the store at the refund, 0 to 23 */
  store_id::INT AS store_id, /* Store of the order; 0 online, -1 order not known */
  channel::VARCHAR AS channel, /* Channel of the order; unknown when the order is not known */
  sku::VARCHAR AS sku, /* Product of the refunded line */
  quantity::BIGINT AS quantity, /* Pieces returned */
  refund_amount::DECIMAL(18, 4) AS refund_amount, /* Value of the goods given back, without refunded tax where the source states it apart */
  tax_amount::DECIMAL(18, 4) AS tax_amount, /* Refunded tax */
  shipping_amount::DECIMAL(18, 4) AS shipping_amount, /* Refunded shipping */
  refund_reason::VARCHAR AS refund_reason, /* Reason as the source states it */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Last change at the source, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM placed
