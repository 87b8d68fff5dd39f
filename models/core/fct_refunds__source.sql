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
      criteria := (
        refund_amount - adjustment_amount >= 0,
        (
          store_id = -1
        ) = (
          channel = 'unknown'
        )
      )
    )
  )
);

WITH given_back AS (
  SELECT
    source_system,
    refund_id,
    line_number,
    order_id,
    refunded_at,
    COALESCE(store_id, -1) AS store_id, /* the order is not known: money that left the company all the same */
    COALESCE(channel, 'unknown') AS channel,
    sku,
    quantity,
    refund_amount,
    COALESCE(adjustment_amount, 0) AS adjustment_amount,
    tax_amount,
    shipping_amount,
    COALESCE(duties_amount, 0) AS duties_amount,
    COALESCE(fees_amount, 0) AS fees_amount,
    COALESCE(tips_amount, 0) AS tips_amount,
    COALESCE(gift_cards_amount, 0) AS gift_cards_amount,
    refund_reason,
    source_updated_at,
    raw_load_id
  FROM staging._@{source}_refunds
  WHERE
    rule_ids IS NULL
    AND is_counted
    AND event_at BETWEEN @start_ts AND @end_ts
    AND refunded_at BETWEEN @start_ts AND @end_ts
  UNION ALL
  /* A line of negative quantity is a return of that moment; its tax stands with that of the order. */
  SELECT
    l.source_system,
    'order:' || l.order_id AS refund_id,
    l.line_number,
    l.order_id,
    o.ordered_at AS refunded_at,
    o.store_id,
    o.channel,
    l.sku,
    ABS(l.quantity) AS quantity,
    COALESCE(ABS(l.gross_amount), ABS(l.quantity) * l.unit_price) - ABS(l.discount_amount) AS refund_amount,
    0 AS adjustment_amount,
    0 AS tax_amount,
    0 AS shipping_amount,
    0 AS duties_amount,
    0 AS fees_amount,
    0 AS tips_amount,
    0 AS gift_cards_amount,
    NULL AS refund_reason,
    l.source_updated_at,
    l.raw_load_id
  FROM staging._@{source}_order_lines AS l
  INNER JOIN staging._@{source}_orders AS o
    ON o.order_id = l.order_id
  WHERE
    l.rule_ids IS NULL
    AND l.is_returned
    AND o.rule_ids IS NULL
    AND o.is_counted
    AND l.event_at BETWEEN @start_ts AND @end_ts
    AND o.event_at BETWEEN @start_ts AND @end_ts
    AND o.ordered_at BETWEEN @start_ts AND @end_ts
), refunds AS (
  SELECT
    source_system,
    refund_id,
    line_number,
    order_id,
    refunded_at,
    store_id,
    channel,
    MIN(sku) AS sku,
    SUM(quantity) AS quantity, /* Shopify splits a refunded item by what becomes of the goods */
    SUM(refund_amount) AS refund_amount,
    SUM(adjustment_amount) AS adjustment_amount,
    SUM(tax_amount) AS tax_amount,
    SUM(shipping_amount) AS shipping_amount,
    SUM(duties_amount) AS duties_amount,
    SUM(fees_amount) AS fees_amount,
    SUM(tips_amount) AS tips_amount,
    SUM(gift_cards_amount) AS gift_cards_amount,
    MIN(refund_reason) AS refund_reason,
    MAX(source_updated_at) AS source_updated_at,
    MAX(raw_load_id) AS raw_load_id
  FROM given_back
  GROUP BY
    source_system,
    refund_id,
    line_number,
    order_id,
    refunded_at,
    store_id,
    channel
), local_times AS (
  @local_times(refunds, refunded_at, core._store_zones)
), placed AS (
  SELECT
    r.*,
    t.local_at AS refunded_at_local
  FROM refunds AS r
  LEFT JOIN local_times AS t
    ON t.store_id = r.store_id AND t.minute_at = DATE_TRUNC('MINUTE', r.refunded_at)
)
SELECT
  source_system::VARCHAR AS source_system, /* oltp (stores and phone) or shopify (online) */
  refund_id::VARCHAR AS refund_id, /* The refund's number in its source system; order:NUMBER for what was given back on the order itself, agreement:NUMBER for an edit or return without a refund */
  line_number::BIGINT AS line_number, /* Refunded line; NULL for a whole order, shipping or an unknown line */
  order_id::VARCHAR AS order_id, /* Refunded order; NULL or without a match when not known */
  refunded_at::TIMESTAMPNTZ AS refunded_at, /* When the money was given back, UTC */
  refunded_at_local::DATE AS business_date, /* Local date of the store at the refund */
  DATE_PART(HOUR, refunded_at_local)::INT AS business_hour, /* Local hour of the store at the refund, 0 to 23 */
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
FROM placed
