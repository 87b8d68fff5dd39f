-- ingestion.loading.package
ALTER TABLE "RAW"."OLTP_ORDERS" ADD COLUMN "DELETED_AT" TIMESTAMP_NTZ;

-- ingestion.loading.package
ALTER TABLE "RAW"."OLTP_ORDERS" DROP CLUSTERING KEY;

-- ingestion.migrations
ALTER TABLE ops.correction_windows ADD COLUMN IF NOT EXISTS settled_at TIMESTAMP_NTZ;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS closing_on_hand_after BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS closing_on_hand_before BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS counted_hours_after BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS counted_hours_before BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS discounts_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS discounts_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS duties_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS duties_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS fees_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS fees_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS gift_cards_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS gift_cards_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS gross_sales_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS gross_sales_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS net_sales_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS net_sales_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS orders_after BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS orders_before BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS products_after BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS products_before BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS returns_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS returns_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS shipping_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS shipping_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS stockout_hours_after BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS stockout_hours_before BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS taxes_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS taxes_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS tips_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS tips_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS total_sales_after DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS total_sales_before DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS units_after BIGINT;

-- ingestion.migrations
ALTER TABLE ops.published_changes ADD COLUMN IF NOT EXISTS units_before BIGINT;

-- ingestion.migrations
ALTER TABLE ops.reconciliations ADD COLUMN IF NOT EXISTS comparisons BIGINT;

-- ingestion.migrations
ALTER TABLE ops.reconciliations ADD COLUMN IF NOT EXISTS matched BIGINT;

-- ingestion.migrations
ALTER TABLE ops.replays ADD COLUMN IF NOT EXISTS recorded_at TIMESTAMP_NTZ;

-- ingestion.migrations
ALTER TABLE ops.runs ADD COLUMN IF NOT EXISTS actor VARCHAR;

-- ingestion.migrations
ALTER TABLE ops.source_comparisons ADD COLUMN IF NOT EXISTS raw_digest DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE ops.source_comparisons ADD COLUMN IF NOT EXISTS source_digest DECIMAL(38, 4);

-- ingestion.migrations
ALTER TABLE raw.oltp_customers ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;

-- ingestion.migrations
ALTER TABLE raw.oltp_customers ADD COLUMN IF NOT EXISTS _row_hash BIGINT;

-- ingestion.migrations
ALTER TABLE raw.oltp_order_lines ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;

-- ingestion.migrations
ALTER TABLE raw.oltp_order_lines ADD COLUMN IF NOT EXISTS _row_hash BIGINT;

-- ingestion.migrations
ALTER TABLE raw.oltp_orders ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;

-- ingestion.migrations
ALTER TABLE raw.oltp_orders ADD COLUMN IF NOT EXISTS _row_hash BIGINT;

-- ingestion.migrations
ALTER TABLE raw.oltp_products ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;

-- ingestion.migrations
ALTER TABLE raw.oltp_products ADD COLUMN IF NOT EXISTS _row_hash BIGINT;

-- ingestion.migrations
ALTER TABLE raw.oltp_refunds ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;

-- ingestion.migrations
ALTER TABLE raw.oltp_refunds ADD COLUMN IF NOT EXISTS _row_hash BIGINT;

-- ingestion.migrations
ALTER TABLE raw.shopify_inventory ADD COLUMN IF NOT EXISTS sku_on_hand BIGINT;

-- ingestion.migrations
ALTER TABLE raw.shopify_inventory ADD COLUMN IF NOT EXISTS sku_on_order BIGINT;

-- ingestion.migrations
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS _deleted_at TIMESTAMP_NTZ;

-- ingestion.migrations
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS cash_rounding_amount DECIMAL(18, 4);

-- ingestion.migrations
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS current_total_amount DECIMAL(18, 4);

-- ingestion.migrations
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS placed_total_amount DECIMAL(18, 4);

-- ingestion.migrations
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS retail_location_id BIGINT;

-- ingestion.migrations
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS retail_location_name VARCHAR;

-- ingestion.migrations
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS source_name VARCHAR;

-- ingestion.migrations
ALTER TABLE raw.shopify_orders ADD COLUMN IF NOT EXISTS taxes_included BOOLEAN;

-- ingestion.shopify.source
BEGIN;

-- ingestion.shopify.source
COMMIT;

-- ingestion.migrations
CREATE SCHEMA IF NOT EXISTS ops;

-- ingestion.migrations
CREATE SCHEMA IF NOT EXISTS raw;

-- ingestion.loading.package
CREATE TABLE IF NOT EXISTS "RAW"."_DLT_LOADS" ( "LOAD_ID" VARCHAR(64) NOT NULL COMMENT 'Unique identifier of the load operation', "SCHEMA_NAME" VARCHAR COMMENT 'Name of the schema associated with this load', "STATUS" NUMBER(19,0) NOT NULL COMMENT 'Status of the load operation (0 = success)', "INSERTED_AT" TIMESTAMP_LTZ NOT NULL COMMENT 'Timestamp when the load was completed', "SCHEMA_VERSION_HASH" VARCHAR COMMENT 'Hash of the schema version used during this load');

-- ingestion.loading.package
CREATE TABLE IF NOT EXISTS "RAW"."_DLT_VERSION" ( "VERSION" NUMBER(19,0) NOT NULL COMMENT 'Numeric version of the schema, incremented on each schema change', "ENGINE_VERSION" NUMBER(19,0) NOT NULL COMMENT 'Version of the dlt schema engine that created this schema', "INSERTED_AT" TIMESTAMP_LTZ NOT NULL COMMENT 'Timestamp when this schema version was stored', "SCHEMA_NAME" VARCHAR NOT NULL COMMENT 'Name of the schema', "VERSION_HASH" VARCHAR NOT NULL COMMENT 'Unique hash of the schema content, used to detect changes', "SCHEMA" VARCHAR NOT NULL COMMENT 'JSON representation of the complete schema definition');

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.backfill_pieces ( backfill_id VARCHAR, piece VARCHAR, load_id VARCHAR, "ROWS" BIGINT, ended_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.backfills ( backfill_id VARCHAR, source VARCHAR, entity VARCHAR, window_start TIMESTAMP_NTZ, window_end TIMESTAMP_NTZ, as_of TIMESTAMP_NTZ, status VARCHAR, started_at TIMESTAMP_NTZ, ended_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.check_results ( run_id VARCHAR, scan_id VARCHAR, area VARCHAR, check_name VARCHAR, dataset VARCHAR, severity VARCHAR, outcome VARCHAR, value VARCHAR, definition VARCHAR, window_start TIMESTAMP_NTZ, window_end TIMESTAMP_NTZ, environment VARCHAR, snapshot_versions VARCHAR, scanned_at TIMESTAMP_NTZ, as_of TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.closes ( close_id VARCHAR, month_first DATE, month_last DATE, status VARCHAR, publication BIGINT, closed_at TIMESTAMP_NTZ, recorded_at TIMESTAMP_NTZ, run_id VARCHAR, actor VARCHAR, reason VARCHAR, open_things VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.control_totals ( control VARCHAR, entity VARCHAR, layer VARCHAR, event_hour TIMESTAMP_NTZ, business_date DATE, store_id BIGINT, row_count BIGINT, amount DECIMAL(38, 4) );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.correction_windows ( window_id VARCHAR, source VARCHAR, entity VARCHAR, window_start TIMESTAMP_NTZ, window_end TIMESTAMP_NTZ, reason VARCHAR, load_id VARCHAR, "ROWS" BIGINT, queued_at TIMESTAMP_NTZ, status VARCHAR, attempts BIGINT, last_error VARCHAR, closed_at TIMESTAMP_NTZ, plan_id VARCHAR, settled_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.deletion_questions ( question_id VARCHAR, source VARCHAR, entity VARCHAR, day DATE, window_start TIMESTAMP_NTZ, window_end TIMESTAMP_NTZ, rows_known BIGINT, rows_missing BIGINT, missing_keys DECIMAL(38, 0), asked_at TIMESTAMP_NTZ, state VARCHAR, confirmed_by VARCHAR, confirmed_at TIMESTAMP_NTZ, reason VARCHAR, closed_at TIMESTAMP_NTZ, load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.erasures ( erasure_id VARCHAR, source VARCHAR, customer_id BIGINT, reason VARCHAR, actor VARCHAR, run_id VARCHAR, asked_at TIMESTAMP_NTZ, status VARCHAR, counts VARCHAR, recorded_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.files ( source VARCHAR, entity VARCHAR, file_name VARCHAR, etag VARCHAR, file_hash VARCHAR, content_hash VARCHAR, bytes BIGINT, modified_at TIMESTAMP_NTZ, store_id BIGINT, file_date DATE, file_hour TIMESTAMP_NTZ, "ROWS" BIGINT, rejected_rows BIGINT, status VARCHAR, reason VARCHAR, load_id VARCHAR, seen_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.ledger ( sequence BIGINT, entry_id VARCHAR, recorded_at TIMESTAMP_NTZ, kind VARCHAR, subject VARCHAR, run_id VARCHAR, actor VARCHAR, git_sha VARCHAR, is_dirty BOOLEAN, lock_hash VARCHAR, models_hash VARCHAR, details VARCHAR, digests VARCHAR, previous_hash VARCHAR, entry_hash VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.loads ( load_id VARCHAR, source VARCHAR, entity VARCHAR, window_start TIMESTAMP_NTZ, window_end TIMESTAMP_NTZ, "ROWS" BIGINT, rejected_rows BIGINT, bytes BIGINT, source_count BIGINT, source_sum DECIMAL(38, 4), landed_sum DECIMAL(38, 4), content_hash VARCHAR, started_at TIMESTAMP_NTZ, ended_at TIMESTAMP_NTZ, seconds DECIMAL(18, 3), status VARCHAR, error VARCHAR, loaded_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.missing_files ( store_id BIGINT, file_hour TIMESTAMP_NTZ, missed_at TIMESTAMP_NTZ, arrived_at TIMESTAMP_NTZ, load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.notifications ( incident_key VARCHAR, thread VARCHAR, change VARCHAR, subject VARCHAR, title VARCHAR, severity VARCHAR, affects VARCHAR, owner VARCHAR, opened_at TIMESTAMP_NTZ, told_at TIMESTAMP_NTZ, is_open BOOLEAN, messages BIGINT, reminders BIGINT, returns BIGINT, told_to VARCHAR, business_date DATE, run_id VARCHAR, recorded_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.publications ( publication BIGINT, published_at TIMESTAMP_NTZ, recorded_at TIMESTAMP_NTZ, run_id VARCHAR, plan_id VARCHAR, git_sha VARCHAR, models_version VARCHAR, followed VARCHAR, windows VARCHAR, published_through VARCHAR, complete_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.published_changes ( publication BIGINT, table_name VARCHAR, business_date DATE, store_id BIGINT, channel VARCHAR, orders_before BIGINT, orders_after BIGINT, units_before BIGINT, units_after BIGINT, gross_sales_before DECIMAL(38, 4), gross_sales_after DECIMAL(38, 4), discounts_before DECIMAL(38, 4), discounts_after DECIMAL(38, 4), returns_before DECIMAL(38, 4), returns_after DECIMAL(38, 4), net_sales_before DECIMAL(38, 4), net_sales_after DECIMAL(38, 4), taxes_before DECIMAL(38, 4), taxes_after DECIMAL(38, 4), shipping_before DECIMAL(38, 4), shipping_after DECIMAL(38, 4), duties_before DECIMAL(38, 4), duties_after DECIMAL(38, 4), fees_before DECIMAL(38, 4), fees_after DECIMAL(38, 4), total_sales_before DECIMAL(38, 4), total_sales_after DECIMAL(38, 4), tips_before DECIMAL(38, 4), tips_after DECIMAL(38, 4), gift_cards_before DECIMAL(38, 4), gift_cards_after DECIMAL(38, 4), products_before BIGINT, products_after BIGINT, closing_on_hand_before BIGINT, closing_on_hand_after BIGINT, counted_hours_before BIGINT, counted_hours_after BIGINT, stockout_hours_before BIGINT, stockout_hours_after BIGINT, cause VARCHAR, loads VARCHAR, windows VARCHAR, scan_ids VARCHAR, published_at TIMESTAMP_NTZ, recorded_at TIMESTAMP_NTZ, run_id VARCHAR, plan_id VARCHAR, git_sha VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.published_digests ( publication BIGINT, published_at TIMESTAMP_NTZ, recorded_at TIMESTAMP_NTZ, part VARCHAR, event_hour TIMESTAMP_NTZ, row_count BIGINT, row_digest DECIMAL(38, 4) );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.purges ( purge_id VARCHAR, class VARCHAR, purged_before TIMESTAMP_NTZ, ledger_through BIGINT, status VARCHAR, "ROWS" BIGINT, counts VARCHAR, as_of TIMESTAMP_NTZ, run_id VARCHAR, actor VARCHAR, recorded_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.reconciled ( run_id VARCHAR, control VARCHAR, business_date DATE, through TIMESTAMP_NTZ, reach VARCHAR, as_of TIMESTAMP_NTZ, reconciled_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.reconciliations ( run_id VARCHAR, as_of TIMESTAMP_NTZ, entity VARCHAR, control VARCHAR, business_date DATE, store_id BIGINT, measure VARCHAR, source_total DECIMAL(38, 4), raw_total DECIMAL(38, 4), core_total DECIMAL(38, 4), certified_total DECIMAL(38, 4), excluded_total DECIMAL(38, 4), quarantined_total DECIMAL(38, 4), difference DECIMAL(38, 4), status VARCHAR, reconciled_at TIMESTAMP_NTZ, comparisons BIGINT, matched BIGINT );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.replays ( source VARCHAR, entity VARCHAR, reject_load_id VARCHAR, file_name VARCHAR, file_hash VARCHAR, reject_key VARCHAR, is_whole_file BOOLEAN, rule_id VARCHAR, load_id VARCHAR, replayed_at TIMESTAMP_NTZ, recorded_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.run_intervals ( run_id VARCHAR, model VARCHAR, snapshot_version VARCHAR, fingerprint VARCHAR, interval_start TIMESTAMP_NTZ, interval_end TIMESTAMP_NTZ, "ROWS" BIGINT, seconds DECIMAL(18, 3), audits_passed BIGINT, audits_failed BIGINT, status VARCHAR, recorded_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.run_problems ( run_id VARCHAR, kind VARCHAR, subject VARCHAR, message VARCHAR, cure VARCHAR, recorded_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.runs ( run_id VARCHAR, command VARCHAR, as_of TIMESTAMP_NTZ, git_sha VARCHAR, gateway VARCHAR, environment VARCHAR, plan_id VARCHAR, status VARCHAR, error VARCHAR, started_at TIMESTAMP_NTZ, ended_at TIMESTAMP_NTZ, summary VARCHAR, actor VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.schema_version ( version BIGINT, name VARCHAR, checksum VARCHAR, applied_at TIMESTAMP_NTZ, actor VARCHAR, git_sha VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.settings ( name VARCHAR, value VARCHAR, recorded_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.source_columns ( source VARCHAR, entity VARCHAR, source_column VARCHAR, source_type VARCHAR, raw_column VARCHAR, raw_type VARCHAR, first_seen_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.source_comparisons ( source VARCHAR, entity VARCHAR, day DATE, source_rows BIGINT, source_keys DECIMAL(38, 0), source_sum DECIMAL(38, 4), raw_rows BIGINT, raw_keys DECIMAL(38, 0), raw_sum DECIMAL(38, 4), status VARCHAR, compared_at TIMESTAMP_NTZ, load_id VARCHAR, source_digest DECIMAL(38, 4), raw_digest DECIMAL(38, 4) );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.source_watermarks ( source VARCHAR, entity VARCHAR, covered_through TIMESTAMP_NTZ, load_id VARCHAR, updated_at TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS ops.unpublished_windows ( mark_id VARCHAR, model VARCHAR, window_start TIMESTAMP_NTZ, window_end TIMESTAMP_NTZ );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.oltp_customers ( customer_id BIGINT, email VARCHAR, first_name VARCHAR, last_name VARCHAR, phone VARCHAR, city VARCHAR, region VARCHAR, country VARCHAR, postal_code VARCHAR, loyalty_tier VARCHAR, marketing_opt_in BOOLEAN, created_at TIMESTAMP_NTZ, updated_at TIMESTAMP_NTZ, _deleted_at TIMESTAMP_NTZ, _row_hash BIGINT, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.oltp_order_lines ( order_id BIGINT, line_number BIGINT, sku VARCHAR, quantity BIGINT, unit_price DECIMAL(12, 4), discount_amount DECIMAL(12, 2), tax_amount DECIMAL(12, 2), updated_at TIMESTAMP_NTZ, _deleted_at TIMESTAMP_NTZ, _row_hash BIGINT, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.oltp_orders ( order_id BIGINT, customer_id BIGINT, store_id BIGINT, channel VARCHAR, status VARCHAR, is_test BOOLEAN, currency VARCHAR, ordered_at TIMESTAMP_NTZ, discount_amount DECIMAL(12, 2), tax_amount DECIMAL(12, 2), shipping_amount DECIMAL(12, 2), total_amount DECIMAL(12, 2), updated_at TIMESTAMP_NTZ, _deleted_at TIMESTAMP_NTZ, _row_hash BIGINT, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.oltp_products ( sku VARCHAR, name VARCHAR, category VARCHAR, brand VARCHAR, unit_cost DECIMAL(12, 2), list_price DECIMAL(12, 2), is_active BOOLEAN, updated_at TIMESTAMP_NTZ, _deleted_at TIMESTAMP_NTZ, _row_hash BIGINT, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.oltp_refunds ( refund_id BIGINT, order_id BIGINT, line_number BIGINT, quantity BIGINT, amount DECIMAL(14, 4), reason VARCHAR, refunded_at TIMESTAMP_NTZ, updated_at TIMESTAMP_NTZ, _deleted_at TIMESTAMP_NTZ, _row_hash BIGINT, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.rejects ( source VARCHAR, entity VARCHAR, is_whole_file BOOLEAN, column_name VARCHAR, rule_id VARCHAR, reason VARCHAR, raw_text VARCHAR, original_path VARCHAR, rejected_at TIMESTAMP_NTZ, file_name VARCHAR, file_hash VARCHAR, file_line BIGINT, file_modified_at TIMESTAMP_NTZ, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.shopify_inventory ( inventory_item_id BIGINT, location_id BIGINT, sku VARCHAR, available BIGINT, on_hand BIGINT, on_order BIGINT, sku_on_hand BIGINT, sku_on_order BIGINT, updated_at TIMESTAMP_NTZ, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.shopify_order_lines ( order_id BIGINT, order_updated_at TIMESTAMP_NTZ, line_item_id BIGINT, line_position BIGINT, sku VARCHAR, title VARCHAR, quantity BIGINT, current_quantity BIGINT, unit_price DECIMAL(18, 4), discount_amount DECIMAL(18, 4), tax_amount DECIMAL(18, 4), _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.shopify_orders ( order_id BIGINT, name VARCHAR, customer_id BIGINT, is_test BOOLEAN, currency VARCHAR, financial_status VARCHAR, fulfillment_status VARCHAR, taxes_included BOOLEAN, source_name VARCHAR, retail_location_id BIGINT, retail_location_name VARCHAR, created_at TIMESTAMP_NTZ, processed_at TIMESTAMP_NTZ, cancelled_at TIMESTAMP_NTZ, subtotal_amount DECIMAL(18, 4), discount_amount DECIMAL(18, 4), tax_amount DECIMAL(18, 4), shipping_amount DECIMAL(18, 4), total_amount DECIMAL(18, 4), placed_total_amount DECIMAL(18, 4), current_total_amount DECIMAL(18, 4), cash_rounding_amount DECIMAL(18, 4), updated_at TIMESTAMP_NTZ, _deleted_at TIMESTAMP_NTZ, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.shopify_products ( variant_id BIGINT, product_id BIGINT, inventory_item_id BIGINT, sku VARCHAR, title VARCHAR, variant_title VARCHAR, vendor VARCHAR, product_type VARCHAR, status VARCHAR, price DECIMAL(18, 4), unit_cost DECIMAL(18, 4), updated_at TIMESTAMP_NTZ, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.shopify_refunds ( order_id BIGINT, order_updated_at TIMESTAMP_NTZ, refund_id BIGINT, refund_line_id BIGINT, line_item_id BIGINT, sku VARCHAR, quantity BIGINT, subtotal_amount DECIMAL(18, 4), tax_amount DECIMAL(18, 4), shipping_amount DECIMAL(18, 4), note VARCHAR, refunded_at TIMESTAMP_NTZ, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.shopify_sales ( order_id BIGINT, order_updated_at TIMESTAMP_NTZ, agreement_id BIGINT, happened_at TIMESTAMP_NTZ, reason VARCHAR, refund_id BIGINT, note VARCHAR, sale_id BIGINT, action_type VARCHAR, line_type VARCHAR, line_item_id BIGINT, sku VARCHAR, quantity BIGINT, currency VARCHAR, total_amount DECIMAL(18, 4), tax_amount DECIMAL(18, 4), discount_before_taxes DECIMAL(18, 4), discount_after_taxes DECIMAL(18, 4), _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.shopify_sales_reports ( business_date DATE, gross_sales DECIMAL(18, 4), discounts DECIMAL(18, 4), sales_reversals DECIMAL(18, 4), net_sales DECIMAL(18, 4), shipping_charges DECIMAL(18, 4), return_fees DECIMAL(18, 4), taxes DECIMAL(18, 4), duties DECIMAL(18, 4), additional_fees DECIMAL(18, 4), total_sales DECIMAL(18, 4), _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.stores_inventory ( store_id BIGINT, sku VARCHAR, on_hand BIGINT, on_order BIGINT, counted_at TIMESTAMP_NTZ, file_name VARCHAR, file_hash VARCHAR, file_line BIGINT, file_modified_at TIMESTAMP_NTZ, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.stores_reference ( store_id BIGINT, name VARCHAR, format VARCHAR, region VARCHAR, city VARCHAR, state VARCHAR, country VARCHAR, timezone VARCHAR, opened_on DATE, closed_on DATE, square_feet BIGINT, manager VARCHAR, reference_date DATE, file_name VARCHAR, file_hash VARCHAR, file_line BIGINT, file_modified_at TIMESTAMP_NTZ, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.migrations
CREATE TABLE IF NOT EXISTS raw.stores_tills ( store_id BIGINT, business_date DATE, transactions BIGINT, gross_sales DECIMAL(18, 4), discounts DECIMAL(18, 4), returns DECIMAL(18, 4), net_sales DECIMAL(18, 4), file_name VARCHAR, file_hash VARCHAR, file_line BIGINT, file_modified_at TIMESTAMP_NTZ, _loaded_at TIMESTAMP_NTZ, _dlt_load_id VARCHAR );

-- ingestion.loading.records
DELETE FROM ops.loads WHERE source = NULL AND status = 'started';

-- ingestion.loading.records
DELETE FROM ops.source_watermarks WHERE source = NULL AND entity IN (NULL);

-- ingestion.loading.records
DELETE FROM ops.source_watermarks WHERE source = NULL AND entity IN (NULL, NULL, NULL);

-- ingestion.loading.package
INSERT INTO "RAW"."_DLT_LOADS"("LOAD_ID", "SCHEMA_NAME", "STATUS", "INSERTED_AT", "SCHEMA_VERSION_HASH") VALUES(NULL, NULL, NULL, NULL, NULL);

-- ingestion.loading.package
INSERT INTO "RAW"."_DLT_VERSION"("VERSION", "ENGINE_VERSION", "INSERTED_AT", "SCHEMA_NAME", "VERSION_HASH", "SCHEMA") VALUES (NULL, NULL, NULL, NULL, NULL, NULL);

-- ingestion.loading.correction_queue
INSERT INTO ops.correction_windows ("WINDOW_ID", "SOURCE", "ENTITY", "WINDOW_START", "WINDOW_END", "REASON", "LOAD_ID", "ROWS", "QUEUED_AT", "STATUS", "ATTEMPTS") VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

-- ingestion.stores.source
INSERT INTO ops.files ("SOURCE", "ENTITY", "FILE_NAME", "ETAG", "FILE_HASH", "CONTENT_HASH", "BYTES", "MODIFIED_AT", "STORE_ID", "FILE_DATE", "FILE_HOUR", "ROWS", "REJECTED_ROWS", "STATUS", "REASON", "LOAD_ID", "SEEN_AT") VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

-- ingestion.loading.records
INSERT INTO ops.loads ("LOAD_ID", "SOURCE", "ENTITY", "WINDOW_START", "WINDOW_END", "ROWS", "REJECTED_ROWS", "BYTES", "SOURCE_COUNT", "SOURCE_SUM", "LANDED_SUM", "CONTENT_HASH", "STARTED_AT", "ENDED_AT", "SECONDS", "STATUS", "LOADED_AT") VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

-- ingestion.loading.package
INSERT INTO ops.loads ("SOURCE", "STATUS", "STARTED_AT", "LOADED_AT") VALUES (NULL, NULL, NULL, NULL);

-- ingestion.migrations
INSERT INTO ops.schema_version ("VERSION", "NAME", "CHECKSUM", "APPLIED_AT", "ACTOR", "GIT_SHA") VALUES (NULL, NULL, NULL, NULL, NULL, NULL);

-- ingestion.postgres.schema
INSERT INTO ops.source_columns ("SOURCE", "ENTITY", "SOURCE_COLUMN", "SOURCE_TYPE", "RAW_COLUMN", "RAW_TYPE", "FIRST_SEEN_AT") VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL);

-- ingestion.shopify.deleted_orders
INSERT INTO ops.source_comparisons ("SOURCE", "ENTITY", "DAY", "SOURCE_ROWS", "RAW_ROWS", "STATUS", "COMPARED_AT") VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL);

-- ingestion.postgres.compare
INSERT INTO ops.source_comparisons ("SOURCE", "ENTITY", "DAY", "SOURCE_ROWS", "SOURCE_KEYS", "SOURCE_SUM", "RAW_ROWS", "RAW_KEYS", "RAW_SUM", "SOURCE_DIGEST", "RAW_DIGEST", "STATUS", "COMPARED_AT", "LOAD_ID") VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

-- ingestion.loading.records
INSERT INTO ops.source_watermarks ("SOURCE", "ENTITY", "COVERED_THROUGH", "LOAD_ID", "UPDATED_AT") VALUES (NULL, NULL, NULL, NULL, NULL);

-- ingestion.loading.package
SELECT "VERSION", "ENGINE_VERSION", "INSERTED_AT", "SCHEMA_NAME", "VERSION_HASH", "SCHEMA" FROM "RAW"."_DLT_VERSION" WHERE "VERSION_HASH" = NULL LIMIT 1;

-- ingestion.loading.package
SELECT 1 FROM INFORMATION_SCHEMA.SCHEMATA WHERE schema_name = NULL;

-- ingestion.loading.correction_queue
SELECT COUNT(*) FROM ops.correction_windows WHERE status = 'open' AND source = NULL AND entity = NULL AND window_start = NULL AND window_end = NULL;

-- ingestion.loading.recovery
SELECT COUNT(*) FROM ops.loads WHERE source = NULL AND status = 'started';

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.oltp_customers WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.oltp_order_lines WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.oltp_orders WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.oltp_products WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.oltp_refunds WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.rejects WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.shopify_inventory WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.shopify_order_lines WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.shopify_orders WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.shopify_products WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.shopify_refunds WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.shopify_sales WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.shopify_sales_reports WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.stores_inventory WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.stores_reference WHERE _dlt_load_id = NULL;

-- ingestion.loading.package
SELECT COUNT(*) FROM raw.stores_tills WHERE _dlt_load_id = NULL;

-- ingestion.postgres.compare
SELECT COUNT(DISTINCT day) FROM ops.source_comparisons WHERE source = NULL AND entity = NULL AND day >= NULL AND day < NULL AND compared_at >= NULL;

-- ingestion.shopify.deleted_orders
SELECT DISTINCT day FROM ops.source_comparisons WHERE source = NULL AND entity = NULL AND compared_at >= NULL;

-- ingestion.loading.rejects
SELECT DISTINCT entity FROM raw.rejects WHERE source = NULL;

-- ingestion.stores.missing
SELECT DISTINCT file_hour, store_id FROM ops.files AS f WHERE source = 'stores' AND entity = 'inventory' AND f.status IN ('duplicate', 'loaded', 'quarantined') AND file_hour >= NULL AND file_hour < NULL;

-- ingestion.loading.erased
SELECT DISTINCT source, customer_id FROM ops.erasures;

-- ingestion.loading.horizon
SELECT MAX(purged_before) FROM ops.purges WHERE class = NULL;

-- ingestion.loading.records
SELECT SUM("AMOUNT") FROM raw.oltp_refunds WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("AVAILABLE") FROM raw.shopify_inventory WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("LIST_PRICE") FROM raw.oltp_products WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("NET_SALES") FROM raw.stores_tills WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("ON_HAND") FROM raw.stores_inventory WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("PRICE") FROM raw.shopify_products WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("SUBTOTAL_AMOUNT") FROM raw.shopify_refunds WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("TOTAL_AMOUNT") FROM raw.oltp_orders WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("TOTAL_AMOUNT") FROM raw.shopify_orders WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("TOTAL_AMOUNT") FROM raw.shopify_sales WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("TOTAL_SALES") FROM raw.shopify_sales_reports WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("UNIT_PRICE") FROM raw.oltp_order_lines WHERE _dlt_load_id = NULL;

-- ingestion.loading.records
SELECT SUM("UNIT_PRICE") FROM raw.shopify_order_lines WHERE _dlt_load_id = NULL;

-- ingestion.loading.backfill
SELECT backfill_id, window_end, as_of FROM ops.backfills WHERE source = NULL AND entity = NULL AND window_start = NULL AND status = 'open' ORDER BY started_at DESC LIMIT 1;

-- ingestion.postgres.compare
SELECT day, status, source_rows, source_keys, source_sum, source_digest, source_rows - raw_rows, source_keys - raw_keys, source_sum - raw_sum, source_digest - raw_digest FROM ops.source_comparisons WHERE source = NULL AND entity = NULL AND day >= NULL AND day < NULL QUALIFY ROW_NUMBER() OVER (PARTITION BY day ORDER BY compared_at DESC) = 1;

-- ingestion.stores.known_files
SELECT entity, file_name, etag, file_hash, content_hash, store_id, file_date, file_hour, "ROWS", status FROM ops.files WHERE source = 'stores' AND (file_date BETWEEN NULL AND NULL OR status = 'unrecognised') ORDER BY load_id;

-- ingestion.loading.same_source
SELECT order_id FROM raw.shopify_orders AS r WHERE updated_at >= NULL AND updated_at < NULL AND order_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM raw.shopify_orders AS d WHERE d.order_id = r.order_id AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) GROUP BY order_id ORDER BY MAX(updated_at) DESC LIMIT 25;

-- ingestion.postgres.extract
SELECT order_id, customer_id, store_id, channel, status, is_test, currency, ordered_at, discount_amount, tax_amount, shipping_amount, total_amount, updated_at FROM raw.oltp_orders WHERE (updated_at IS NULL OR updated_at >= NULL) AND _dlt_load_id IN (SELECT load_id FROM ops.loads WHERE source = NULL AND status = 'loaded');

-- ingestion.loading.same_source
SELECT order_id, ordered_at FROM raw.oltp_orders AS r WHERE updated_at >= NULL AND updated_at < NULL AND order_id IS NOT NULL AND ordered_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM raw.oltp_orders AS d WHERE d.order_id = r.order_id AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) GROUP BY order_id, ordered_at ORDER BY MAX(updated_at) DESC LIMIT 200;

-- ingestion.loading.deletions
SELECT question_id, source, entity, window_start, window_end, rows_known, rows_missing, missing_keys, asked_at, state, confirmed_by, confirmed_at, reason, closed_at, load_id FROM ops.deletion_questions WHERE state IN (NULL) ORDER BY source, entity, window_start, asked_at;

-- ingestion.loading.deletions
SELECT question_id, source, entity, window_start, window_end, rows_known, rows_missing, missing_keys, asked_at, state, confirmed_by, confirmed_at, reason, closed_at, load_id FROM ops.deletion_questions WHERE state IN (NULL, NULL) ORDER BY source, entity, window_start, asked_at;

-- ingestion.loading.planning
SELECT source, entity, covered_through FROM ops.source_watermarks;

-- ingestion.postgres.schema
SELECT source_column, raw_type, raw_column FROM ops.source_columns WHERE source = NULL AND entity = NULL;

-- ingestion.stores.missing
SELECT store_id, timezone, opened_on, closed_on FROM raw.stores_reference QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id ORDER BY reference_date DESC, _dlt_load_id DESC, file_line DESC) = 1 ORDER BY store_id;

-- ingestion.loading.package
SELECT table_name,column_name,data_type,is_nullable,numeric_precision,numeric_scale FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = NULL AND table_name IN (NULL,NULL,NULL) ORDER BY table_name, ordinal_position;

-- ingestion.loading.package
SELECT table_name,column_name,data_type,is_nullable,numeric_precision,numeric_scale FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = NULL AND table_name IN (NULL,NULL,NULL,NULL,NULL) ORDER BY table_name, ordinal_position;

-- ingestion.loading.package
SELECT table_name,column_name,data_type,is_nullable,numeric_precision,numeric_scale FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = NULL AND table_name IN (NULL,NULL,NULL,NULL,NULL,NULL) ORDER BY table_name, ordinal_position;

-- ingestion.migrations
SELECT version, name, checksum, applied_at, actor FROM ops.schema_version ORDER BY version;

-- ingestion.loading.package
UPDATE ops.loads SET load_id = NULL WHERE source = NULL AND status = 'started';

-- ingestion.stores.source
UPDATE ops.missing_files SET arrived_at = NULL, load_id = NULL WHERE arrived_at IS NULL AND EXISTS ( SELECT 1 FROM ops.files AS f WHERE f.load_id = NULL AND f.entity = 'inventory' AND f.status IN ('duplicate', 'loaded', 'quarantined') AND f.store_id = missing_files.store_id AND f.file_hour = missing_files.file_hour);

-- ingestion.postgres.compare
WITH alive AS ( SELECT * FROM raw.oltp_customers AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND customer_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM raw.oltp_customers AS d WHERE d.customer_id = r.customer_id AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) QUALIFY ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC) = 1 ) SELECT CAST(updated_at AS DATE), COUNT(*), SUM(CAST(customer_id AS DECIMAL(38, 0))), COALESCE(0, 0), COALESCE(CAST(SUM(CAST(_row_hash AS DECIMAL(38, 0))) AS DECIMAL(38, 4)), 0) FROM alive WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) GROUP BY 1;

-- ingestion.postgres.compare
WITH alive AS ( SELECT * FROM raw.oltp_order_lines AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND order_id IS NOT NULL AND line_number IS NOT NULL AND NOT EXISTS (SELECT 1 FROM raw.oltp_order_lines AS d WHERE d.order_id = r.order_id AND d.line_number = r.line_number AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id, line_number ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, quantity DESC NULLS LAST, unit_price DESC NULLS LAST) = 1 ) SELECT CAST(updated_at AS DATE), COUNT(*), SUM((CAST(order_id AS DECIMAL(38, 0)) * 1000003 + CAST(line_number AS DECIMAL(38, 0)))), COALESCE(SUM(unit_price), 0), COALESCE(CAST(SUM(CAST(_row_hash AS DECIMAL(38, 0))) AS DECIMAL(38, 4)), 0) FROM alive WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) GROUP BY 1;

-- ingestion.postgres.compare
WITH alive AS ( SELECT * FROM raw.oltp_orders AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND order_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM raw.oltp_orders AS d WHERE d.order_id = r.order_id AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, total_amount DESC NULLS LAST, status DESC NULLS LAST) = 1 ) SELECT CAST(updated_at AS DATE), COUNT(*), SUM(CAST(order_id AS DECIMAL(38, 0))), COALESCE(SUM(total_amount), 0), COALESCE(CAST(SUM(CAST(_row_hash AS DECIMAL(38, 0))) AS DECIMAL(38, 4)), 0) FROM alive WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) GROUP BY 1;

-- ingestion.postgres.compare
WITH alive AS ( SELECT * FROM raw.oltp_products AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND sku IS NOT NULL AND NOT EXISTS (SELECT 1 FROM raw.oltp_products AS d WHERE d.sku = r.sku AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) QUALIFY ROW_NUMBER() OVER (PARTITION BY sku ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, list_price DESC NULLS LAST) = 1 ) SELECT CAST(updated_at AS DATE), COUNT(*), SUM(CAST(CAST(ASCII(SUBSTR(MD5(sku), 1, 1)) AS DECIMAL(38, 0)) * 1 + CAST(ASCII(SUBSTR(MD5(sku), 2, 1)) AS DECIMAL(38, 0)) * 128 + CAST(ASCII(SUBSTR(MD5(sku), 3, 1)) AS DECIMAL(38, 0)) * 16384 + CAST(ASCII(SUBSTR(MD5(sku), 4, 1)) AS DECIMAL(38, 0)) * 2097152 + CAST(ASCII(SUBSTR(MD5(sku), 5, 1)) AS DECIMAL(38, 0)) * 268435456 + CAST(ASCII(SUBSTR(MD5(sku), 6, 1)) AS DECIMAL(38, 0)) * 34359738368 + CAST(ASCII(SUBSTR(MD5(sku), 7, 1)) AS DECIMAL(38, 0)) * 4398046511104 + CAST(ASCII(SUBSTR(MD5(sku), 8, 1)) AS DECIMAL(38, 0)) * 562949953421312 AS DECIMAL(38, 0))), COALESCE(SUM(list_price), 0), COALESCE(CAST(SUM(CAST(_row_hash AS DECIMAL(38, 0))) AS DECIMAL(38, 4)), 0) FROM alive WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) GROUP BY 1;

-- ingestion.postgres.compare
WITH alive AS ( SELECT * FROM raw.oltp_refunds AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND refund_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM raw.oltp_refunds AS d WHERE d.refund_id = r.refund_id AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) QUALIFY ROW_NUMBER() OVER (PARTITION BY refund_id ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, amount DESC NULLS LAST) = 1 ) SELECT CAST(updated_at AS DATE), COUNT(*), SUM(CAST(refund_id AS DECIMAL(38, 0))), COALESCE(SUM(amount), 0), COALESCE(CAST(SUM(CAST(_row_hash AS DECIMAL(38, 0))) AS DECIMAL(38, 4)), 0) FROM alive WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) GROUP BY 1;

-- ingestion.shopify.deleted_orders
WITH latest AS ( SELECT * FROM raw.shopify_orders AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND order_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM raw.shopify_orders AS d WHERE d.order_id = r.order_id AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC) = 1 ) SELECT order_id, name, customer_id, is_test, currency, financial_status, fulfillment_status, taxes_included, source_name, retail_location_id, retail_location_name, created_at, processed_at, cancelled_at, subtotal_amount, discount_amount, tax_amount, shipping_amount, total_amount, placed_total_amount, current_total_amount, cash_rounding_amount, updated_at FROM latest WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) AND (created_at >= CAST(NULL AS TIMESTAMP_NTZ) OR NULL = 1);

-- ingestion.stores.touched_windows
WITH recorded AS (SELECT load_id FROM ops.loads WHERE source = 'stores' AND status = 'loaded'), counted AS ( SELECT file_name, store_id, sku, on_hand, on_order, counted_at, file_hash, _dlt_load_id FROM raw.stores_inventory WHERE _dlt_load_id = NULL UNION ALL SELECT file_name, store_id, sku, on_hand, on_order, counted_at, file_hash, _dlt_load_id FROM raw.stores_inventory WHERE counted_at >= CAST(NULL AS TIMESTAMP_NTZ) AND counted_at < CAST(NULL AS TIMESTAMP_NTZ) AND _dlt_load_id IN (SELECT load_id FROM recorded) AND file_name IN (SELECT file_name FROM raw.stores_inventory WHERE _dlt_load_id = NULL) ), before AS (SELECT file_name, store_id, sku, on_hand, on_order, counted_at FROM counted WHERE _dlt_load_id <> NULL AND (file_name, _dlt_load_id) IN ( SELECT content.file_name, content._dlt_load_id FROM (SELECT DISTINCT file_name, file_hash, _dlt_load_id FROM counted WHERE _dlt_load_id <> NULL) AS content LEFT JOIN (SELECT DISTINCT file_name, file_hash, _dlt_load_id FROM counted WHERE _dlt_load_id <> NULL) AS later ON later.file_name = content.file_name AND later._dlt_load_id > content._dlt_load_id AND later.file_hash <> content.file_hash WHERE later.file_name IS NULL )), after AS (SELECT file_name, store_id, sku, on_hand, on_order, counted_at FROM counted WHERE (file_name, _dlt_load_id) IN ( SELECT content.file_name, content._dlt_load_id FROM (SELECT DISTINCT file_name, file_hash, _dlt_load_id FROM counted WHERE 1 = 1) AS content LEFT JOIN (SELECT DISTINCT file_name, file_hash, _dlt_load_id FROM counted WHERE 1 = 1) AS later ON later.file_name = content.file_name AND later._dlt_load_id > content._dlt_load_id AND later.file_hash <> content.file_hash WHERE later.file_name IS NULL )), touched AS ( SELECT * FROM (SELECT * FROM after EXCEPT SELECT * FROM before) AS added UNION ALL SELECT * FROM (SELECT * FROM before EXCEPT SELECT * FROM after) AS removed ) SELECT DATE_TRUNC('hour', counted_at) AS counted_hour, COUNT(*) AS row_versions FROM touched WHERE counted_at >= CAST(NULL AS TIMESTAMP_NTZ) AND DATE_TRUNC('hour', counted_at) <= CAST(NULL AS TIMESTAMP_NTZ) GROUP BY 1;

-- ingestion.stores.touched_windows
WITH recorded AS (SELECT load_id FROM ops.loads WHERE source = 'stores' AND status = 'loaded'), moved AS ( SELECT store_id FROM ( SELECT store_id, timezone, CASE WHEN LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL THEN DATE '2026-01-01' ELSE reference_date END AS since FROM ( SELECT store_id, timezone, reference_date FROM raw.stores_reference WHERE (_dlt_load_id = NULL OR _dlt_load_id IN (SELECT load_id FROM recorded)) QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, reference_date ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC) = 1 ) AS days QUALIFY LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL OR LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) <> timezone EXCEPT SELECT store_id, timezone, CASE WHEN LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL THEN DATE '2026-01-01' ELSE reference_date END AS since FROM ( SELECT store_id, timezone, reference_date FROM raw.stores_reference WHERE _dlt_load_id IN (SELECT load_id FROM recorded) QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, reference_date ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC) = 1 ) AS days QUALIFY LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL OR LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) <> timezone ) AS added UNION SELECT store_id FROM ( SELECT store_id, timezone, CASE WHEN LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL THEN DATE '2026-01-01' ELSE reference_date END AS since FROM ( SELECT store_id, timezone, reference_date FROM raw.stores_reference WHERE _dlt_load_id IN (SELECT load_id FROM recorded) QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, reference_date ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC) = 1 ) AS days QUALIFY LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL OR LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) <> timezone EXCEPT SELECT store_id, timezone, CASE WHEN LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL THEN DATE '2026-01-01' ELSE reference_date END AS since FROM ( SELECT store_id, timezone, reference_date FROM raw.stores_reference WHERE (_dlt_load_id = NULL OR _dlt_load_id IN (SELECT load_id FROM recorded)) QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, reference_date ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC) = 1 ) AS days QUALIFY LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL OR LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) <> timezone ) AS removed ) SELECT MIN(DATE_TRUNC('hour', happened)), MAX(DATE_TRUNC('hour', happened)), COUNT(*) FROM ( SELECT CASE WHEN ordered_at >= CAST(NULL AS TIMESTAMP_NTZ) AND ordered_at <= COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) + INTERVAL '1 DAY' THEN ordered_at ELSE CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END END AS happened FROM raw.oltp_orders WHERE store_id IN (SELECT store_id FROM moved) UNION ALL SELECT CASE WHEN refunded_at >= CAST(NULL AS TIMESTAMP_NTZ) AND refunded_at <= COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) + INTERVAL '1 DAY' THEN refunded_at ELSE CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END END FROM raw.oltp_refunds WHERE order_id IN (SELECT order_id FROM raw.oltp_orders WHERE store_id IN (SELECT store_id FROM moved)) ) AS events WHERE happened >= CAST(NULL AS TIMESTAMP_NTZ) AND DATE_TRUNC('hour', happened) <= CAST(NULL AS TIMESTAMP_NTZ);

-- ingestion.stores.touched_windows
WITH recorded AS (SELECT load_id FROM ops.loads WHERE source = 'stores' AND status = 'loaded'), moved AS ( SELECT store_id FROM ( SELECT store_id, timezone, CASE WHEN LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL THEN DATE '2026-01-01' ELSE reference_date END AS since FROM ( SELECT store_id, timezone, reference_date FROM raw.stores_reference WHERE (_dlt_load_id = NULL OR _dlt_load_id IN (SELECT load_id FROM recorded)) QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, reference_date ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC) = 1 ) AS days QUALIFY LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL OR LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) <> timezone EXCEPT SELECT store_id, timezone, CASE WHEN LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL THEN DATE '2026-01-01' ELSE reference_date END AS since FROM ( SELECT store_id, timezone, reference_date FROM raw.stores_reference WHERE _dlt_load_id IN (SELECT load_id FROM recorded) QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, reference_date ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC) = 1 ) AS days QUALIFY LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL OR LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) <> timezone ) AS added UNION SELECT store_id FROM ( SELECT store_id, timezone, CASE WHEN LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL THEN DATE '2026-01-01' ELSE reference_date END AS since FROM ( SELECT store_id, timezone, reference_date FROM raw.stores_reference WHERE _dlt_load_id IN (SELECT load_id FROM recorded) QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, reference_date ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC) = 1 ) AS days QUALIFY LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL OR LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) <> timezone EXCEPT SELECT store_id, timezone, CASE WHEN LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL THEN DATE '2026-01-01' ELSE reference_date END AS since FROM ( SELECT store_id, timezone, reference_date FROM raw.stores_reference WHERE (_dlt_load_id = NULL OR _dlt_load_id IN (SELECT load_id FROM recorded)) QUALIFY ROW_NUMBER() OVER (PARTITION BY store_id, reference_date ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC) = 1 ) AS days QUALIFY LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) IS NULL OR LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date) <> timezone ) AS removed ) SELECT MIN(DATE_TRUNC('hour', happened)), MAX(DATE_TRUNC('hour', happened)), COUNT(*) FROM (SELECT counted_at AS happened FROM raw.stores_inventory WHERE store_id IN (SELECT store_id FROM moved)) AS events WHERE happened >= CAST(NULL AS TIMESTAMP_NTZ) AND DATE_TRUNC('hour', happened) <= CAST(NULL AS TIMESTAMP_NTZ);

-- ingestion.loading.correction_queue
WITH recorded AS (SELECT load_id FROM ops.loads WHERE source = NULL AND status = 'loaded'), changed_levels AS (WITH known AS (SELECT inventory_item_id FROM raw.shopify_inventory WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND inventory_item_id IN (SELECT inventory_item_id FROM raw.shopify_inventory WHERE _dlt_load_id = NULL)) SELECT inventory_item_id, location_id, sku, available, on_hand, on_order, updated_at FROM raw.shopify_inventory WHERE _dlt_load_id = NULL AND inventory_item_id IS NOT NULL AND inventory_item_id NOT IN (SELECT inventory_item_id FROM known) UNION ALL (SELECT inventory_item_id, location_id, sku, available, on_hand, on_order, updated_at FROM raw.shopify_inventory WHERE _dlt_load_id = NULL AND (inventory_item_id IS NULL OR inventory_item_id IN (SELECT inventory_item_id FROM known)) EXCEPT (SELECT inventory_item_id, location_id, sku, available, on_hand, on_order, updated_at FROM raw.shopify_inventory WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND inventory_item_id IN (SELECT inventory_item_id FROM known) UNION ALL SELECT inventory_item_id, location_id, sku, available, on_hand, on_order, updated_at FROM raw.shopify_inventory WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND inventory_item_id IS NULL))), touched AS ( SELECT CASE WHEN updated_at > CAST(NULL AS TIMESTAMP_NTZ) THEN updated_at ELSE CAST(NULL AS TIMESTAMP_NTZ) END AS happened FROM changed_levels ) SELECT DATE_TRUNC('hour', happened) AS hour, COUNT(*) AS row_versions FROM touched WHERE happened >= CAST(NULL AS TIMESTAMP_NTZ) AND DATE_TRUNC('hour', happened) <= CAST(NULL AS TIMESTAMP_NTZ) GROUP BY 1;

-- ingestion.loading.correction_queue
WITH recorded AS (SELECT load_id FROM ops.loads WHERE source = NULL AND status = 'loaded'), changed_orders AS (WITH known AS (SELECT order_id FROM raw.oltp_orders WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IN (SELECT order_id FROM raw.oltp_orders WHERE _dlt_load_id = NULL)) SELECT order_id, customer_id, store_id, channel, status, is_test, currency, ordered_at, discount_amount, tax_amount, shipping_amount, total_amount, updated_at, _deleted_at FROM raw.oltp_orders WHERE _dlt_load_id = NULL AND order_id IS NOT NULL AND order_id NOT IN (SELECT order_id FROM known) UNION ALL (SELECT order_id, customer_id, store_id, channel, status, is_test, currency, ordered_at, discount_amount, tax_amount, shipping_amount, total_amount, updated_at, _deleted_at FROM raw.oltp_orders WHERE _dlt_load_id = NULL AND (order_id IS NULL OR order_id IN (SELECT order_id FROM known)) EXCEPT (SELECT order_id, customer_id, store_id, channel, status, is_test, currency, ordered_at, discount_amount, tax_amount, shipping_amount, total_amount, updated_at, _deleted_at FROM raw.oltp_orders WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IN (SELECT order_id FROM known) AND order_id NOT IN (SELECT order_id FROM raw.oltp_orders WHERE _deleted_at IS NOT NULL) UNION ALL SELECT order_id, customer_id, store_id, channel, status, is_test, currency, ordered_at, discount_amount, tax_amount, shipping_amount, total_amount, updated_at, _deleted_at FROM raw.oltp_orders WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IS NULL))), changed_lines AS (WITH known AS (SELECT order_id FROM raw.oltp_order_lines WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IN (SELECT order_id FROM raw.oltp_order_lines WHERE _dlt_load_id = NULL)) SELECT order_id, line_number, sku, quantity, unit_price, discount_amount, tax_amount, updated_at, _deleted_at FROM raw.oltp_order_lines WHERE _dlt_load_id = NULL AND order_id IS NOT NULL AND order_id NOT IN (SELECT order_id FROM known) UNION ALL (SELECT order_id, line_number, sku, quantity, unit_price, discount_amount, tax_amount, updated_at, _deleted_at FROM raw.oltp_order_lines WHERE _dlt_load_id = NULL AND (order_id IS NULL OR order_id IN (SELECT order_id FROM known)) EXCEPT (SELECT order_id, line_number, sku, quantity, unit_price, discount_amount, tax_amount, updated_at, _deleted_at FROM raw.oltp_order_lines WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IN (SELECT order_id FROM known) AND order_id NOT IN (SELECT order_id FROM raw.oltp_order_lines WHERE _deleted_at IS NOT NULL) UNION ALL SELECT order_id, line_number, sku, quantity, unit_price, discount_amount, tax_amount, updated_at, _deleted_at FROM raw.oltp_order_lines WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IS NULL))), changed_refunds AS (WITH known AS (SELECT refund_id FROM raw.oltp_refunds WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND refund_id IN (SELECT refund_id FROM raw.oltp_refunds WHERE _dlt_load_id = NULL)) SELECT refund_id, order_id, line_number, quantity, amount, reason, refunded_at, updated_at, _deleted_at FROM raw.oltp_refunds WHERE _dlt_load_id = NULL AND refund_id IS NOT NULL AND refund_id NOT IN (SELECT refund_id FROM known) UNION ALL (SELECT refund_id, order_id, line_number, quantity, amount, reason, refunded_at, updated_at, _deleted_at FROM raw.oltp_refunds WHERE _dlt_load_id = NULL AND (refund_id IS NULL OR refund_id IN (SELECT refund_id FROM known)) EXCEPT (SELECT refund_id, order_id, line_number, quantity, amount, reason, refunded_at, updated_at, _deleted_at FROM raw.oltp_refunds WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND refund_id IN (SELECT refund_id FROM known) AND refund_id NOT IN (SELECT refund_id FROM raw.oltp_refunds WHERE _deleted_at IS NOT NULL) UNION ALL SELECT refund_id, order_id, line_number, quantity, amount, reason, refunded_at, updated_at, _deleted_at FROM raw.oltp_refunds WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND refund_id IS NULL))), new_order_ids AS ( SELECT order_id FROM changed_orders EXCEPT SELECT order_id FROM raw.oltp_orders WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IN (SELECT order_id FROM changed_orders) ), keyless AS ( SELECT CASE WHEN ordered_at >= CAST(NULL AS TIMESTAMP_NTZ) AND ordered_at <= COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) + INTERVAL '1 DAY' THEN ordered_at ELSE CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END END AS happened FROM (SELECT *, CAST(NULL AS TIMESTAMP_NTZ) AS _loaded_at FROM changed_orders) AS changes WHERE order_id IS NULL UNION ALL SELECT CASE WHEN refunded_at >= CAST(NULL AS TIMESTAMP_NTZ) AND refunded_at <= COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) + INTERVAL '1 DAY' THEN refunded_at ELSE CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END END FROM (SELECT *, CAST(NULL AS TIMESTAMP_NTZ) AS _loaded_at FROM changed_refunds) AS changes WHERE refund_id IS NULL UNION ALL SELECT CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END FROM (SELECT *, CAST(NULL AS TIMESTAMP_NTZ) AS _loaded_at FROM changed_lines) AS changes WHERE order_id IS NULL UNION ALL SELECT CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END FROM raw.oltp_order_lines AS versions WHERE order_id IN (SELECT order_id FROM changed_lines) AND NOT EXISTS (SELECT 1 FROM raw.oltp_orders WHERE oltp_orders.order_id = versions.order_id) ), touched AS ( SELECT happened FROM keyless UNION ALL SELECT CASE WHEN ordered_at >= CAST(NULL AS TIMESTAMP_NTZ) AND ordered_at <= COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) + INTERVAL '1 DAY' THEN ordered_at ELSE CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END END FROM raw.oltp_orders WHERE order_id IN (SELECT order_id FROM changed_orders UNION SELECT order_id FROM changed_lines) UNION ALL SELECT CASE WHEN refunded_at >= CAST(NULL AS TIMESTAMP_NTZ) AND refunded_at <= COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) + INTERVAL '1 DAY' THEN refunded_at ELSE CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END END FROM raw.oltp_refunds WHERE refund_id IN (SELECT refund_id FROM changed_refunds) UNION ALL SELECT CASE WHEN refunded_at >= CAST(NULL AS TIMESTAMP_NTZ) AND refunded_at <= COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) + INTERVAL '1 DAY' THEN refunded_at ELSE CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END END FROM raw.oltp_refunds WHERE order_id IN (SELECT order_id FROM changed_orders UNION SELECT order_id FROM changed_lines) UNION ALL SELECT CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END FROM raw.oltp_order_lines WHERE order_id IN (SELECT order_id FROM new_order_ids) AND _dlt_load_id <> NULL ) SELECT DATE_TRUNC('hour', happened) AS hour, COUNT(*) AS row_versions FROM touched WHERE happened >= CAST(NULL AS TIMESTAMP_NTZ) AND DATE_TRUNC('hour', happened) <= CAST(NULL AS TIMESTAMP_NTZ) GROUP BY 1;

-- ingestion.loading.correction_queue
WITH recorded AS (SELECT load_id FROM ops.loads WHERE source = NULL AND status = 'loaded'), changed_orders AS (WITH known AS (SELECT order_id FROM raw.shopify_orders WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IN (SELECT order_id FROM raw.shopify_orders WHERE _dlt_load_id = NULL)) SELECT order_id, name, customer_id, is_test, currency, financial_status, fulfillment_status, taxes_included, source_name, retail_location_id, retail_location_name, created_at, processed_at, cancelled_at, subtotal_amount, discount_amount, tax_amount, shipping_amount, total_amount, placed_total_amount, current_total_amount, cash_rounding_amount, updated_at, _deleted_at FROM raw.shopify_orders WHERE _dlt_load_id = NULL AND order_id IS NOT NULL AND order_id NOT IN (SELECT order_id FROM known) UNION ALL (SELECT order_id, name, customer_id, is_test, currency, financial_status, fulfillment_status, taxes_included, source_name, retail_location_id, retail_location_name, created_at, processed_at, cancelled_at, subtotal_amount, discount_amount, tax_amount, shipping_amount, total_amount, placed_total_amount, current_total_amount, cash_rounding_amount, updated_at, _deleted_at FROM raw.shopify_orders WHERE _dlt_load_id = NULL AND (order_id IS NULL OR order_id IN (SELECT order_id FROM known)) EXCEPT (SELECT order_id, name, customer_id, is_test, currency, financial_status, fulfillment_status, taxes_included, source_name, retail_location_id, retail_location_name, created_at, processed_at, cancelled_at, subtotal_amount, discount_amount, tax_amount, shipping_amount, total_amount, placed_total_amount, current_total_amount, cash_rounding_amount, updated_at, _deleted_at FROM raw.shopify_orders WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IN (SELECT order_id FROM known) AND order_id NOT IN (SELECT order_id FROM raw.shopify_orders WHERE _deleted_at IS NOT NULL) UNION ALL SELECT order_id, name, customer_id, is_test, currency, financial_status, fulfillment_status, taxes_included, source_name, retail_location_id, retail_location_name, created_at, processed_at, cancelled_at, subtotal_amount, discount_amount, tax_amount, shipping_amount, total_amount, placed_total_amount, current_total_amount, cash_rounding_amount, updated_at, _deleted_at FROM raw.shopify_orders WHERE _dlt_load_id IN (SELECT load_id FROM recorded) AND order_id IS NULL))), touched AS ( SELECT CASE WHEN COALESCE(processed_at, created_at) >= CAST(NULL AS TIMESTAMP_NTZ) AND COALESCE(processed_at, created_at) <= COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) + INTERVAL '1 DAY' THEN COALESCE(processed_at, created_at) ELSE CASE WHEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END END AS happened FROM raw.shopify_orders WHERE order_id IN (SELECT order_id FROM changed_orders) UNION ALL SELECT CASE WHEN happened_at >= CAST(NULL AS TIMESTAMP_NTZ) AND happened_at <= COALESCE(CASE WHEN order_updated_at > _loaded_at THEN _loaded_at ELSE order_updated_at END, _loaded_at) + INTERVAL '1 DAY' THEN happened_at ELSE CASE WHEN COALESCE(CASE WHEN order_updated_at > _loaded_at THEN _loaded_at ELSE order_updated_at END, _loaded_at) > CAST(NULL AS TIMESTAMP_NTZ) THEN COALESCE(CASE WHEN order_updated_at > _loaded_at THEN _loaded_at ELSE order_updated_at END, _loaded_at) ELSE CAST(NULL AS TIMESTAMP_NTZ) END END FROM raw.shopify_sales WHERE order_id IN (SELECT order_id FROM changed_orders) ) SELECT DATE_TRUNC('hour', happened) AS hour, COUNT(*) AS row_versions FROM touched WHERE happened >= CAST(NULL AS TIMESTAMP_NTZ) AND DATE_TRUNC('hour', happened) <= CAST(NULL AS TIMESTAMP_NTZ) GROUP BY 1;

-- ingestion.postgres.reload
WITH versions AS ( SELECT customer_id, _row_hash, updated_at, CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END AS changed_at, ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC) AS place FROM raw.oltp_customers AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND NOT EXISTS (SELECT 1 FROM raw.oltp_customers AS d WHERE d.customer_id = r.customer_id AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) ), known AS ( SELECT *, MAX(CASE WHEN place = 1 THEN changed_at END) OVER (PARTITION BY customer_id) AS latest_at, MAX(CASE WHEN place = 1 THEN _row_hash END) OVER (PARTITION BY customer_id) AS latest_hash FROM versions ) SELECT customer_id, _row_hash, latest_hash, MAX(CASE WHEN place = 1 THEN 1 ELSE 0 END) = 1, MAX(CASE WHEN _row_hash = latest_hash OR changed_at < latest_at OR NOT (customer_id IS NOT NULL) THEN 1 ELSE 0 END) = 1 FROM known WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) GROUP BY customer_id, _row_hash, latest_hash;

-- ingestion.postgres.reload
WITH versions AS ( SELECT order_id, _row_hash, updated_at, CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END AS changed_at, ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, total_amount DESC NULLS LAST, status DESC NULLS LAST) AS place FROM raw.oltp_orders AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND NOT EXISTS (SELECT 1 FROM raw.oltp_orders AS d WHERE d.order_id = r.order_id AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) ), known AS ( SELECT *, MAX(CASE WHEN place = 1 THEN changed_at END) OVER (PARTITION BY order_id) AS latest_at, MAX(CASE WHEN place = 1 THEN _row_hash END) OVER (PARTITION BY order_id) AS latest_hash FROM versions ) SELECT order_id, _row_hash, latest_hash, MAX(CASE WHEN place = 1 THEN 1 ELSE 0 END) = 1, MAX(CASE WHEN _row_hash = latest_hash OR changed_at < latest_at OR NOT (order_id IS NOT NULL) THEN 1 ELSE 0 END) = 1 FROM known WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) GROUP BY order_id, _row_hash, latest_hash;

-- ingestion.postgres.reload
WITH versions AS ( SELECT order_id, line_number, _row_hash, updated_at, CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END AS changed_at, ROW_NUMBER() OVER (PARTITION BY order_id, line_number ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, quantity DESC NULLS LAST, unit_price DESC NULLS LAST) AS place FROM raw.oltp_order_lines AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND NOT EXISTS (SELECT 1 FROM raw.oltp_order_lines AS d WHERE d.order_id = r.order_id AND d.line_number = r.line_number AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) ), known AS ( SELECT *, MAX(CASE WHEN place = 1 THEN changed_at END) OVER (PARTITION BY order_id, line_number) AS latest_at, MAX(CASE WHEN place = 1 THEN _row_hash END) OVER (PARTITION BY order_id, line_number) AS latest_hash FROM versions ) SELECT order_id, line_number, _row_hash, latest_hash, MAX(CASE WHEN place = 1 THEN 1 ELSE 0 END) = 1, MAX(CASE WHEN _row_hash = latest_hash OR changed_at < latest_at OR NOT (order_id IS NOT NULL AND line_number IS NOT NULL) THEN 1 ELSE 0 END) = 1 FROM known WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) GROUP BY order_id, line_number, _row_hash, latest_hash;

-- ingestion.postgres.reload
WITH versions AS ( SELECT sku, _row_hash, updated_at, CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END AS changed_at, ROW_NUMBER() OVER (PARTITION BY sku ORDER BY CASE WHEN updated_at > _loaded_at THEN _loaded_at ELSE updated_at END DESC NULLS LAST, _dlt_load_id DESC, list_price DESC NULLS LAST) AS place FROM raw.oltp_products AS r WHERE updated_at >= CAST(NULL AS TIMESTAMP_NTZ) AND NOT EXISTS (SELECT 1 FROM raw.oltp_products AS d WHERE d.sku = r.sku AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= r._dlt_load_id) ), known AS ( SELECT *, MAX(CASE WHEN place = 1 THEN changed_at END) OVER (PARTITION BY sku) AS latest_at, MAX(CASE WHEN place = 1 THEN _row_hash END) OVER (PARTITION BY sku) AS latest_hash FROM versions ) SELECT sku, _row_hash, latest_hash, MAX(CASE WHEN place = 1 THEN 1 ELSE 0 END) = 1, MAX(CASE WHEN _row_hash = latest_hash OR changed_at < latest_at OR NOT (sku IS NOT NULL) THEN 1 ELSE 0 END) = 1 FROM known WHERE updated_at < CAST(NULL AS TIMESTAMP_NTZ) GROUP BY sku, _row_hash, latest_hash;

