-- The OLTP database as InsightMart's stores write it. It promises nothing: no primary key, no NOT NULL, no foreign key.
-- The pipeline has to survive duplicates, nulls and orphans, so the sandbox must be able to hold them.

CREATE TABLE customers (
    customer_id bigint,
    email text,
    first_name text,
    last_name text,
    phone text,
    city text,
    region text,
    country char(2),
    postal_code text,
    loyalty_tier text,
    marketing_opt_in boolean,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE products (
    sku text,
    name text,
    category text,
    brand text,
    unit_cost numeric(12, 2),
    list_price numeric(12, 2),
    is_active boolean,
    updated_at timestamptz
);

CREATE TABLE orders (
    order_id bigint,
    customer_id bigint, -- null: a guest
    store_id integer,
    channel text, -- 'store', 'phone'
    status text, -- 'pending', 'paid', 'shipped', 'completed', 'cancelled'
    is_test boolean,
    currency char(3),
    ordered_at timestamptz,
    discount_amount numeric(12, 2),
    tax_amount numeric(12, 2),
    shipping_amount numeric(12, 2),
    total_amount numeric(12, 2),
    updated_at timestamptz
);

CREATE TABLE order_lines (
    order_id bigint,
    line_number integer,
    sku text,
    quantity integer,
    unit_price numeric(12, 4),
    discount_amount numeric(12, 2),
    tax_amount numeric(12, 2),
    updated_at timestamptz
);

CREATE TABLE refunds (
    refund_id bigint,
    order_id bigint, -- null or unknown: money handed back without a receipt
    line_number integer,
    quantity integer,
    amount numeric(14, 4),
    reason text,
    refunded_at timestamptz,
    updated_at timestamptz
);

-- What an hourly extraction looks for.
CREATE INDEX customers_updated_at ON customers (updated_at);
CREATE INDEX products_updated_at ON products (updated_at);
CREATE INDEX orders_updated_at ON orders (updated_at);
CREATE INDEX order_lines_updated_at ON order_lines (updated_at);
CREATE INDEX refunds_updated_at ON refunds (updated_at);

-- What an update looks for.
CREATE INDEX customers_key ON customers (customer_id);
CREATE INDEX products_key ON products (sku);
CREATE INDEX orders_key ON orders (order_id);
CREATE INDEX order_lines_key ON order_lines (order_id, line_number);
CREATE INDEX refunds_key ON refunds (refund_id);

-- The pipeline's role: it reads, and can do nothing else, in tables that exist and in tables to come.
CREATE ROLE insightmart_reader LOGIN;
REVOKE ALL ON DATABASE shop FROM public;
REVOKE ALL ON SCHEMA public FROM public;
GRANT CONNECT ON DATABASE shop TO insightmart_reader;
GRANT USAGE ON SCHEMA public TO insightmart_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO insightmart_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO insightmart_reader;
