-- What tables of earlier warehouses lack; a new one has it all by 0001.

-- a warehouse from before deletions were looked for, and content compared
ALTER TABLE raw.oltp_orders ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;
ALTER TABLE raw.oltp_orders ADD COLUMN IF NOT EXISTS _row_hash BIGINT;
ALTER TABLE raw.oltp_order_lines ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;
ALTER TABLE raw.oltp_order_lines ADD COLUMN IF NOT EXISTS _row_hash BIGINT;
ALTER TABLE raw.oltp_refunds ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;
ALTER TABLE raw.oltp_refunds ADD COLUMN IF NOT EXISTS _row_hash BIGINT;
ALTER TABLE raw.oltp_customers ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;
ALTER TABLE raw.oltp_customers ADD COLUMN IF NOT EXISTS _row_hash BIGINT;
ALTER TABLE raw.oltp_products ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;
ALTER TABLE raw.oltp_products ADD COLUMN IF NOT EXISTS _row_hash BIGINT;
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;
ALTER TABLE ops.source_comparisons ADD COLUMN IF NOT EXISTS source_digest DECIMAL(38, 4);
ALTER TABLE ops.source_comparisons ADD COLUMN IF NOT EXISTS raw_digest DECIMAL(38, 4);

-- a warehouse from before the shop's sales ledger was loaded
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS taxes_included BOOLEAN;
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS source_name VARCHAR;
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS retail_location_id BIGINT;
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS retail_location_name VARCHAR;
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS placed_total_amount DECIMAL(18, 4);
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS current_total_amount DECIMAL(18, 4);
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS cash_rounding_amount DECIMAL(18, 4);

-- a warehouse from before items with one SKU were added up
ALTER TABLE raw.shopify_inventory ADD COLUMN IF NOT EXISTS sku_on_hand BIGINT;
ALTER TABLE raw.shopify_inventory ADD COLUMN IF NOT EXISTS sku_on_order BIGINT;

-- a warehouse from before only what changed was compared
ALTER TABLE ops.reconciliations ADD COLUMN IF NOT EXISTS comparisons BIGINT;
ALTER TABLE ops.reconciliations ADD COLUMN IF NOT EXISTS matched BIGINT;

-- a warehouse from before there was a ledger, which goes by the real clock
ALTER TABLE ops.correction_windows ADD COLUMN IF NOT EXISTS settled_at TIMESTAMP_NTZ;
ALTER TABLE ops.replays ADD COLUMN IF NOT EXISTS recorded_at TIMESTAMP_NTZ;

-- a warehouse from before a measure was in the journal
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS orders_before BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS orders_after BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS units_before BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS units_after BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS gross_sales_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS gross_sales_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS discounts_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS discounts_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS returns_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS returns_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS net_sales_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS net_sales_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS taxes_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS taxes_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS shipping_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS shipping_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS duties_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS duties_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS fees_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS fees_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS total_sales_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS total_sales_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS tips_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS tips_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS gift_cards_before DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS gift_cards_after DECIMAL(38, 4);
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS products_before BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS products_after BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS closing_on_hand_before BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS closing_on_hand_after BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS counted_hours_before BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS counted_hours_after BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS stockout_hours_before BIGINT;
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS stockout_hours_after BIGINT;

-- a warehouse from before it was kept who acted
ALTER TABLE ops.runs ADD COLUMN IF NOT EXISTS actor VARCHAR;
