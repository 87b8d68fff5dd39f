MODEL (
  name staging._shopify_sales,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_at
  ),
  description 'Every sale, return and edit of the latest version of every online order, as the sales ledger of the shop states it, in the window of its order; one row is one sale.',
  grain (order_id, agreement_id, sale_id),
  tags (sales, shopify),
  signals (
    source_covered(entities := 'shopify.orders')
  )
);

WITH latest AS (
  SELECT
    s.order_id,
    s.agreement_id,
    s.happened_at,
    s.refund_id,
    s.note,
    s.sale_id,
    s.line_item_id,
    s.sku,
    s.quantity,
    UPPER(TRIM(s.currency)) AS currency,
    COALESCE(s.total_amount, 0)::DECIMAL(38, 4) AS total_amount, /* wide enough to add up whatever the shop says */
    COALESCE(s.tax_amount, 0)::DECIMAL(38, 4) AS tax_amount,
    COALESCE(s.total_amount, 0)::DECIMAL(38, 4) - COALESCE(s.tax_amount, 0)::DECIMAL(38, 4) AS net_amount,
    COALESCE(s.discount_before_taxes, 0)::DECIMAL(38, 4) AS discount_amount,
    COALESCE(s.action_type, 'UNKNOWN') AS action_type,
    COALESCE(s.line_type, 'UNKNOWN') AS line_type,
    COALESCE(s.reason = 'ORDER', FALSE) AS is_placed,
    h.source_updated_at,
    h.event_at,
    h.raw_load_id,
    s._loaded_at,
    GREATEST(h.event_at, @event_instant(s.happened_at, s.order_updated_at, s._loaded_at)) AS happened_event_at /* nothing happens to an order before it is placed */
  FROM raw.shopify_sales AS s
  INNER JOIN staging._shopify_order_headers AS h
    ON h.order_id = s.order_id::VARCHAR
    AND h.ledger_load_id = s._dlt_load_id
    AND h.source_updated_at = s.order_updated_at
  WHERE
    h.event_at BETWEEN @start_ts AND @end_ts
    AND s._loaded_at >= DATEADD(DAY, -1, @start_ts)
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY s.order_id, s.agreement_id, s.sale_id ORDER BY s.happened_at) = 1
), told_apart AS (
  SELECT
    *,
    net_amount + discount_amount AS gross_amount,
    COALESCE(
      line_type = 'PRODUCT'
      AND (
        is_placed OR (
          action_type = 'ORDER' AND quantity > 0 AND net_amount >= 0
        )
      ),
      FALSE
    ) AS is_line, /* sold when the order was placed, or added by an edit; everything later is a movement of its own */
    COALESCE(action_type = 'RETURN' OR quantity < 0, FALSE) AS is_returned
  FROM latest
)
SELECT
  order_id::VARCHAR AS order_id,
  agreement_id::BIGINT AS agreement_id,
  sale_id::BIGINT AS sale_id,
  refund_id::BIGINT AS refund_id,
  note::VARCHAR AS note,
  action_type::VARCHAR AS action_type,
  line_type::VARCHAR AS line_type,
  is_placed::BOOLEAN AS is_placed, /* part of the order as it was placed */
  is_line::BOOLEAN AS is_line, /* a line of fct_order_lines, or goods given back on the order itself */
  is_returned::BOOLEAN AS is_returned,
  CASE
    WHEN line_item_id IS NULL
    OR ROW_NUMBER() OVER (
      PARTITION BY order_id, line_item_id, is_line
      ORDER BY happened_event_at, agreement_id, sale_id
    ) > 1
    THEN sale_id
    ELSE line_item_id
  END::BIGINT AS line_number, /* the line item; its further sales by edits have the number of the sale */
  line_item_id::BIGINT AS line_item_id,
  NULLIF(TRIM(sku), '')::VARCHAR AS sku,
  quantity::BIGINT AS quantity,
  currency::VARCHAR AS currency,
  gross_amount::DECIMAL(38, 4) AS gross_amount,
  discount_amount::DECIMAL(38, 4) AS discount_amount,
  net_amount::DECIMAL(38, 4) AS net_amount,
  tax_amount::DECIMAL(38, 4) AS tax_amount,
  total_amount::DECIMAL(38, 4) AS total_amount,
  (
    total_amount <> 0
    AND (
      NOT action_type IN ('ORDER', 'RETURN', 'UPDATE')
      OR NOT line_type IN (
        'PRODUCT',
        'GIFT_CARD',
        'TIP',
        'SHIPPING',
        'DUTY',
        'FEE',
        'ADDITIONAL_FEE',
        'ADJUSTMENT'
      )
      OR (
        is_placed AND line_type = 'ADJUSTMENT'
      )
    )
  )::BOOLEAN AS is_unknown, /* money of which nobody knows what it is for */
  (
    is_line
    AND NOT is_returned
    AND (
      COALESCE(quantity, 0) <= 0
      AND gross_amount <> 0
      OR gross_amount < 0
      OR net_amount < 0
    )
  )::BOOLEAN AS is_unclear, /* sold without pieces, or for less than nothing */
  happened_at::TIMESTAMPNTZ AS happened_at,
  CASE WHEN is_placed THEN event_at ELSE happened_event_at END::TIMESTAMPNTZ AS counted_at,
  source_updated_at::TIMESTAMPNTZ AS source_updated_at,
  event_at::TIMESTAMPNTZ AS event_at,
  _loaded_at::TIMESTAMPNTZ AS _loaded_at,
  raw_load_id::VARCHAR AS raw_load_id
FROM told_apart
