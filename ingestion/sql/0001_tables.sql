-- Every table of raw and ops as a new warehouse gets it; in one from before, those that it lacks.
CREATE SCHEMA IF NOT EXISTS raw;
CREATE SCHEMA IF NOT EXISTS ops;

-- which of these files a warehouse has had
CREATE TABLE IF NOT EXISTS ops.schema_version (
    version BIGINT,
    name VARCHAR,
    checksum VARCHAR,
    applied_at TIMESTAMP_NTZ,
    actor VARCHAR,
    git_sha VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.oltp_orders (
    order_id BIGINT,
    customer_id BIGINT,
    store_id BIGINT,
    channel VARCHAR,
    status VARCHAR,
    is_test BOOLEAN,
    currency VARCHAR,
    ordered_at TIMESTAMP_NTZ,
    discount_amount DECIMAL(12, 2),
    tax_amount DECIMAL(12, 2),
    shipping_amount DECIMAL(12, 2),
    total_amount DECIMAL(12, 2),
    updated_at TIMESTAMP_NTZ,
    _deleted_at TIMESTAMP_NTZ,
    _row_hash BIGINT,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.oltp_order_lines (
    order_id BIGINT,
    line_number BIGINT,
    sku VARCHAR,
    quantity BIGINT,
    unit_price DECIMAL(12, 4),
    discount_amount DECIMAL(12, 2),
    tax_amount DECIMAL(12, 2),
    updated_at TIMESTAMP_NTZ,
    _deleted_at TIMESTAMP_NTZ,
    _row_hash BIGINT,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.oltp_refunds (
    refund_id BIGINT,
    order_id BIGINT,
    line_number BIGINT,
    quantity BIGINT,
    amount DECIMAL(14, 4),
    reason VARCHAR,
    refunded_at TIMESTAMP_NTZ,
    updated_at TIMESTAMP_NTZ,
    _deleted_at TIMESTAMP_NTZ,
    _row_hash BIGINT,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.oltp_customers (
    customer_id BIGINT,
    email VARCHAR,
    first_name VARCHAR,
    last_name VARCHAR,
    phone VARCHAR,
    city VARCHAR,
    region VARCHAR,
    country VARCHAR,
    postal_code VARCHAR,
    loyalty_tier VARCHAR,
    marketing_opt_in BOOLEAN,
    created_at TIMESTAMP_NTZ,
    updated_at TIMESTAMP_NTZ,
    _deleted_at TIMESTAMP_NTZ,
    _row_hash BIGINT,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.oltp_products (
    sku VARCHAR,
    name VARCHAR,
    category VARCHAR,
    brand VARCHAR,
    unit_cost DECIMAL(12, 2),
    list_price DECIMAL(12, 2),
    is_active BOOLEAN,
    updated_at TIMESTAMP_NTZ,
    _deleted_at TIMESTAMP_NTZ,
    _row_hash BIGINT,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.shopify_orders (
    order_id BIGINT,
    name VARCHAR,
    customer_id BIGINT,
    is_test BOOLEAN,
    currency VARCHAR,
    financial_status VARCHAR,
    fulfillment_status VARCHAR,
    taxes_included BOOLEAN,
    source_name VARCHAR,
    retail_location_id BIGINT,
    retail_location_name VARCHAR,
    created_at TIMESTAMP_NTZ,
    processed_at TIMESTAMP_NTZ,
    cancelled_at TIMESTAMP_NTZ,
    subtotal_amount DECIMAL(18, 4),
    discount_amount DECIMAL(18, 4),
    tax_amount DECIMAL(18, 4),
    shipping_amount DECIMAL(18, 4),
    total_amount DECIMAL(18, 4),
    placed_total_amount DECIMAL(18, 4),
    current_total_amount DECIMAL(18, 4),
    cash_rounding_amount DECIMAL(18, 4),
    updated_at TIMESTAMP_NTZ,
    _deleted_at TIMESTAMP_NTZ,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.shopify_order_lines (
    order_id BIGINT,
    order_updated_at TIMESTAMP_NTZ,
    line_item_id BIGINT,
    line_position BIGINT,
    sku VARCHAR,
    title VARCHAR,
    quantity BIGINT,
    current_quantity BIGINT,
    unit_price DECIMAL(18, 4),
    discount_amount DECIMAL(18, 4),
    tax_amount DECIMAL(18, 4),
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.shopify_refunds (
    order_id BIGINT,
    order_updated_at TIMESTAMP_NTZ,
    refund_id BIGINT,
    refund_line_id BIGINT,
    line_item_id BIGINT,
    sku VARCHAR,
    quantity BIGINT,
    subtotal_amount DECIMAL(18, 4),
    tax_amount DECIMAL(18, 4),
    shipping_amount DECIMAL(18, 4),
    note VARCHAR,
    refunded_at TIMESTAMP_NTZ,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.shopify_sales (
    order_id BIGINT,
    order_updated_at TIMESTAMP_NTZ,
    agreement_id BIGINT,
    happened_at TIMESTAMP_NTZ,
    reason VARCHAR,
    refund_id BIGINT,
    note VARCHAR,
    sale_id BIGINT,
    action_type VARCHAR,
    line_type VARCHAR,
    line_item_id BIGINT,
    sku VARCHAR,
    quantity BIGINT,
    currency VARCHAR,
    total_amount DECIMAL(18, 4),
    tax_amount DECIMAL(18, 4),
    discount_before_taxes DECIMAL(18, 4),
    discount_after_taxes DECIMAL(18, 4),
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.shopify_sales_reports (
    business_date DATE,
    gross_sales DECIMAL(18, 4),
    discounts DECIMAL(18, 4),
    sales_reversals DECIMAL(18, 4),
    net_sales DECIMAL(18, 4),
    shipping_charges DECIMAL(18, 4),
    return_fees DECIMAL(18, 4),
    taxes DECIMAL(18, 4),
    duties DECIMAL(18, 4),
    additional_fees DECIMAL(18, 4),
    total_sales DECIMAL(18, 4),
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.shopify_products (
    variant_id BIGINT,
    product_id BIGINT,
    inventory_item_id BIGINT,
    sku VARCHAR,
    title VARCHAR,
    variant_title VARCHAR,
    vendor VARCHAR,
    product_type VARCHAR,
    status VARCHAR,
    price DECIMAL(18, 4),
    unit_cost DECIMAL(18, 4),
    updated_at TIMESTAMP_NTZ,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.shopify_inventory (
    inventory_item_id BIGINT,
    location_id BIGINT,
    sku VARCHAR,
    available BIGINT,
    on_hand BIGINT,
    on_order BIGINT,
    sku_on_hand BIGINT,
    sku_on_order BIGINT,
    updated_at TIMESTAMP_NTZ,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.stores_inventory (
    store_id BIGINT,
    sku VARCHAR,
    on_hand BIGINT,
    on_order BIGINT,
    counted_at TIMESTAMP_NTZ,
    file_name VARCHAR,
    file_hash VARCHAR,
    file_line BIGINT,
    file_modified_at TIMESTAMP_NTZ,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.stores_reference (
    store_id BIGINT,
    name VARCHAR,
    format VARCHAR,
    region VARCHAR,
    city VARCHAR,
    state VARCHAR,
    country VARCHAR,
    timezone VARCHAR,
    opened_on DATE,
    closed_on DATE,
    square_feet BIGINT,
    manager VARCHAR,
    reference_date DATE,
    file_name VARCHAR,
    file_hash VARCHAR,
    file_line BIGINT,
    file_modified_at TIMESTAMP_NTZ,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.stores_tills (
    store_id BIGINT,
    business_date DATE,
    transactions BIGINT,
    gross_sales DECIMAL(18, 4),
    discounts DECIMAL(18, 4),
    returns DECIMAL(18, 4),
    net_sales DECIMAL(18, 4),
    file_name VARCHAR,
    file_hash VARCHAR,
    file_line BIGINT,
    file_modified_at TIMESTAMP_NTZ,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS raw.rejects (
    source VARCHAR,
    entity VARCHAR,
    is_whole_file BOOLEAN,
    column_name VARCHAR,
    rule_id VARCHAR,
    reason VARCHAR,
    raw_text VARCHAR,
    original_path VARCHAR,
    rejected_at TIMESTAMP_NTZ,
    file_name VARCHAR,
    file_hash VARCHAR,
    file_line BIGINT,
    file_modified_at TIMESTAMP_NTZ,
    _loaded_at TIMESTAMP_NTZ,
    _dlt_load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS ops.loads (
    load_id VARCHAR,
    source VARCHAR,
    entity VARCHAR,
    window_start TIMESTAMP_NTZ,
    window_end TIMESTAMP_NTZ,
    "ROWS" BIGINT,
    rejected_rows BIGINT,
    bytes BIGINT,
    source_count BIGINT,
    source_sum DECIMAL(38, 4),
    landed_sum DECIMAL(38, 4),
    content_hash VARCHAR,
    started_at TIMESTAMP_NTZ,
    ended_at TIMESTAMP_NTZ,
    seconds DECIMAL(18, 3),
    status VARCHAR,
    error VARCHAR,
    loaded_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.source_watermarks (
    source VARCHAR,
    entity VARCHAR,
    covered_through TIMESTAMP_NTZ,
    load_id VARCHAR,
    updated_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.backfills (
    backfill_id VARCHAR,
    source VARCHAR,
    entity VARCHAR,
    window_start TIMESTAMP_NTZ,
    window_end TIMESTAMP_NTZ,
    as_of TIMESTAMP_NTZ,
    status VARCHAR,
    started_at TIMESTAMP_NTZ,
    ended_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.backfill_pieces (
    backfill_id VARCHAR,
    piece VARCHAR,
    load_id VARCHAR,
    "ROWS" BIGINT,
    ended_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.source_columns (
    source VARCHAR,
    entity VARCHAR,
    source_column VARCHAR,
    source_type VARCHAR,
    raw_column VARCHAR,
    raw_type VARCHAR,
    first_seen_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.source_comparisons (
    source VARCHAR,
    entity VARCHAR,
    day DATE,
    source_rows BIGINT,
    source_keys DECIMAL(38, 0),
    source_sum DECIMAL(38, 4),
    raw_rows BIGINT,
    raw_keys DECIMAL(38, 0),
    raw_sum DECIMAL(38, 4),
    status VARCHAR,
    compared_at TIMESTAMP_NTZ,
    load_id VARCHAR,
    source_digest DECIMAL(38, 4),
    raw_digest DECIMAL(38, 4)
);

CREATE TABLE IF NOT EXISTS ops.deletion_questions (
    question_id VARCHAR,
    source VARCHAR,
    entity VARCHAR,
    day DATE,
    window_start TIMESTAMP_NTZ,
    window_end TIMESTAMP_NTZ,
    rows_known BIGINT,
    rows_missing BIGINT,
    missing_keys DECIMAL(38, 0),
    asked_at TIMESTAMP_NTZ,
    state VARCHAR,
    confirmed_by VARCHAR,
    confirmed_at TIMESTAMP_NTZ,
    reason VARCHAR,
    closed_at TIMESTAMP_NTZ,
    load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS ops.correction_windows (
    window_id VARCHAR,
    source VARCHAR,
    entity VARCHAR,
    window_start TIMESTAMP_NTZ,
    window_end TIMESTAMP_NTZ,
    reason VARCHAR,
    load_id VARCHAR,
    "ROWS" BIGINT,
    queued_at TIMESTAMP_NTZ,
    status VARCHAR,
    attempts BIGINT,
    last_error VARCHAR,
    closed_at TIMESTAMP_NTZ,
    plan_id VARCHAR,
    settled_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.files (
    source VARCHAR,
    entity VARCHAR,
    file_name VARCHAR,
    etag VARCHAR,
    file_hash VARCHAR,
    content_hash VARCHAR,
    bytes BIGINT,
    modified_at TIMESTAMP_NTZ,
    store_id BIGINT,
    file_date DATE,
    file_hour TIMESTAMP_NTZ,
    "ROWS" BIGINT,
    rejected_rows BIGINT,
    status VARCHAR,
    reason VARCHAR,
    load_id VARCHAR,
    seen_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.missing_files (
    store_id BIGINT,
    file_hour TIMESTAMP_NTZ,
    missed_at TIMESTAMP_NTZ,
    arrived_at TIMESTAMP_NTZ,
    load_id VARCHAR
);

CREATE TABLE IF NOT EXISTS ops.replays (
    source VARCHAR,
    entity VARCHAR,
    reject_load_id VARCHAR,
    file_name VARCHAR,
    file_hash VARCHAR,
    reject_key VARCHAR,
    is_whole_file BOOLEAN,
    rule_id VARCHAR,
    load_id VARCHAR,
    replayed_at TIMESTAMP_NTZ,
    recorded_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.runs (
    run_id VARCHAR,
    command VARCHAR,
    as_of TIMESTAMP_NTZ,
    git_sha VARCHAR,
    gateway VARCHAR,
    environment VARCHAR,
    plan_id VARCHAR,
    status VARCHAR,
    error VARCHAR,
    started_at TIMESTAMP_NTZ,
    ended_at TIMESTAMP_NTZ,
    summary VARCHAR,
    actor VARCHAR
);

CREATE TABLE IF NOT EXISTS ops.unpublished_windows (
    mark_id VARCHAR,
    model VARCHAR,
    window_start TIMESTAMP_NTZ,
    window_end TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.publications (
    publication BIGINT,
    published_at TIMESTAMP_NTZ,
    recorded_at TIMESTAMP_NTZ,
    run_id VARCHAR,
    plan_id VARCHAR,
    git_sha VARCHAR,
    models_version VARCHAR,
    followed VARCHAR,
    windows VARCHAR,
    published_through VARCHAR,
    complete_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.published_changes (
    publication BIGINT,
    table_name VARCHAR,
    business_date DATE,
    store_id BIGINT,
    channel VARCHAR,
    orders_before BIGINT,
    orders_after BIGINT,
    units_before BIGINT,
    units_after BIGINT,
    gross_sales_before DECIMAL(38, 4),
    gross_sales_after DECIMAL(38, 4),
    discounts_before DECIMAL(38, 4),
    discounts_after DECIMAL(38, 4),
    returns_before DECIMAL(38, 4),
    returns_after DECIMAL(38, 4),
    net_sales_before DECIMAL(38, 4),
    net_sales_after DECIMAL(38, 4),
    taxes_before DECIMAL(38, 4),
    taxes_after DECIMAL(38, 4),
    shipping_before DECIMAL(38, 4),
    shipping_after DECIMAL(38, 4),
    duties_before DECIMAL(38, 4),
    duties_after DECIMAL(38, 4),
    fees_before DECIMAL(38, 4),
    fees_after DECIMAL(38, 4),
    total_sales_before DECIMAL(38, 4),
    total_sales_after DECIMAL(38, 4),
    tips_before DECIMAL(38, 4),
    tips_after DECIMAL(38, 4),
    gift_cards_before DECIMAL(38, 4),
    gift_cards_after DECIMAL(38, 4),
    products_before BIGINT,
    products_after BIGINT,
    closing_on_hand_before BIGINT,
    closing_on_hand_after BIGINT,
    counted_hours_before BIGINT,
    counted_hours_after BIGINT,
    stockout_hours_before BIGINT,
    stockout_hours_after BIGINT,
    cause VARCHAR,
    loads VARCHAR,
    windows VARCHAR,
    scan_ids VARCHAR,
    published_at TIMESTAMP_NTZ,
    recorded_at TIMESTAMP_NTZ,
    run_id VARCHAR,
    plan_id VARCHAR,
    git_sha VARCHAR
);

CREATE TABLE IF NOT EXISTS ops.published_digests (
    publication BIGINT,
    published_at TIMESTAMP_NTZ,
    recorded_at TIMESTAMP_NTZ,
    part VARCHAR,
    event_hour TIMESTAMP_NTZ,
    row_count BIGINT,
    row_digest DECIMAL(38, 4)
);

CREATE TABLE IF NOT EXISTS ops.closes (
    close_id VARCHAR,
    month_first DATE,
    month_last DATE,
    status VARCHAR,
    publication BIGINT,
    closed_at TIMESTAMP_NTZ,
    recorded_at TIMESTAMP_NTZ,
    run_id VARCHAR,
    actor VARCHAR,
    reason VARCHAR,
    open_things VARCHAR
);

CREATE TABLE IF NOT EXISTS ops.erasures (
    erasure_id VARCHAR,
    source VARCHAR,
    customer_id BIGINT,
    reason VARCHAR,
    actor VARCHAR,
    run_id VARCHAR,
    asked_at TIMESTAMP_NTZ,
    status VARCHAR,
    counts VARCHAR,
    recorded_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.purges (
    purge_id VARCHAR,
    class VARCHAR,
    purged_before TIMESTAMP_NTZ,
    ledger_through BIGINT,
    status VARCHAR,
    "ROWS" BIGINT,
    counts VARCHAR,
    as_of TIMESTAMP_NTZ,
    run_id VARCHAR,
    actor VARCHAR,
    recorded_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.settings (
    name VARCHAR,
    value VARCHAR,
    recorded_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.run_problems (
    run_id VARCHAR,
    kind VARCHAR,
    subject VARCHAR,
    message VARCHAR,
    cure VARCHAR,
    recorded_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.run_intervals (
    run_id VARCHAR,
    model VARCHAR,
    snapshot_version VARCHAR,
    fingerprint VARCHAR,
    interval_start TIMESTAMP_NTZ,
    interval_end TIMESTAMP_NTZ,
    "ROWS" BIGINT,
    seconds DECIMAL(18, 3),
    audits_passed BIGINT,
    audits_failed BIGINT,
    status VARCHAR,
    recorded_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.check_results (
    run_id VARCHAR,
    scan_id VARCHAR,
    area VARCHAR,
    check_name VARCHAR,
    dataset VARCHAR,
    severity VARCHAR,
    outcome VARCHAR,
    value VARCHAR,
    definition VARCHAR,
    window_start TIMESTAMP_NTZ,
    window_end TIMESTAMP_NTZ,
    environment VARCHAR,
    snapshot_versions VARCHAR,
    scanned_at TIMESTAMP_NTZ,
    as_of TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.ledger (
    sequence BIGINT,
    entry_id VARCHAR,
    recorded_at TIMESTAMP_NTZ,
    kind VARCHAR,
    subject VARCHAR,
    run_id VARCHAR,
    actor VARCHAR,
    git_sha VARCHAR,
    is_dirty BOOLEAN,
    lock_hash VARCHAR,
    models_hash VARCHAR,
    details VARCHAR,
    digests VARCHAR,
    previous_hash VARCHAR,
    entry_hash VARCHAR
);

CREATE TABLE IF NOT EXISTS ops.control_totals (
    control VARCHAR,
    entity VARCHAR,
    layer VARCHAR,
    event_hour TIMESTAMP_NTZ,
    business_date DATE,
    store_id BIGINT,
    row_count BIGINT,
    amount DECIMAL(38, 4)
);

CREATE TABLE IF NOT EXISTS ops.reconciled (
    run_id VARCHAR,
    control VARCHAR,
    business_date DATE,
    through TIMESTAMP_NTZ,
    reach VARCHAR,
    as_of TIMESTAMP_NTZ,
    reconciled_at TIMESTAMP_NTZ
);

CREATE TABLE IF NOT EXISTS ops.reconciliations (
    run_id VARCHAR,
    as_of TIMESTAMP_NTZ,
    entity VARCHAR,
    control VARCHAR,
    business_date DATE,
    store_id BIGINT,
    measure VARCHAR,
    source_total DECIMAL(38, 4),
    raw_total DECIMAL(38, 4),
    core_total DECIMAL(38, 4),
    certified_total DECIMAL(38, 4),
    excluded_total DECIMAL(38, 4),
    quarantined_total DECIMAL(38, 4),
    difference DECIMAL(38, 4),
    status VARCHAR,
    reconciled_at TIMESTAMP_NTZ,
    comparisons BIGINT,
    matched BIGINT
);

CREATE TABLE IF NOT EXISTS ops.notifications (
    incident_key VARCHAR,
    thread VARCHAR,
    change VARCHAR,
    subject VARCHAR,
    title VARCHAR,
    severity VARCHAR,
    affects VARCHAR,
    owner VARCHAR,
    opened_at TIMESTAMP_NTZ,
    told_at TIMESTAMP_NTZ,
    is_open BOOLEAN,
    messages BIGINT,
    reminders BIGINT,
    returns BIGINT,
    told_to VARCHAR,
    business_date DATE,
    run_id VARCHAR,
    recorded_at TIMESTAMP_NTZ
);
