MODEL (
  name certified.dim_customers,
  kind INCREMENTAL_BY_UNIQUE_KEY (
    unique_key (customer_id, valid_from),
    disable_restatement TRUE,
    merge_filter (
      NOT source.is_inferred OR target.changed_at >= @start_ts
    )
  ),
  depends_on (
    gate.customers
  ),
  description 'Customers with their history (SCD2). No clear-text e-mail, phone or name.',
  grain (customer_id, valid_from),
  tags (
    customers
  )
);

SELECT
  customer_id::VARCHAR AS customer_id, /* Customer; ids of shopify customers begin with shopify: */
  valid_from::TIMESTAMPNTZ AS valid_from, /* First instant of this version, UTC; 1970-01-01 for the first one */
  valid_to::TIMESTAMPNTZ AS valid_to, /* First instant after this version; 9999-12-31 while it holds */
  is_current::BOOLEAN AS is_current, /* Whether this is the latest version */
  is_inferred::BOOLEAN AS is_inferred, /* Known only from an order; the customer load has not brought it yet */
  email_hash::VARCHAR AS email_hash, /* SHA-256 of the lower-case e-mail address */
  city::VARCHAR AS city, /* City */
  region::VARCHAR AS region, /* Region */
  country::VARCHAR AS country, /* ISO 3166 country */
  postal_code::VARCHAR AS postal_code, /* Postal code */
  loyalty_tier::VARCHAR AS loyalty_tier, /* Loyalty tier */
  marketing_opt_in::BOOLEAN AS marketing_opt_in, /* Whether marketing mail is allowed */
  customer_created_at::TIMESTAMPNTZ AS customer_created_at, /* When the customer registered, UTC */
  source_updated_at::TIMESTAMPNTZ AS source_updated_at, /* Instant of this version at the source, UTC */
  changed_at::TIMESTAMPNTZ AS changed_at, /* When a load last changed this customer, UTC */
  raw_load_id::VARCHAR AS raw_load_id /* Load that brought this version, as in ops.loads */
FROM core.dim_customers
WHERE
  changed_at >= @start_ts
