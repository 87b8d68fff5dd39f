MODEL (
  name core.dim_customers,
  kind INCREMENTAL_BY_UNIQUE_KEY (
    unique_key (customer_id, valid_from),
    disable_restatement TRUE,
    merge_filter (
      NOT source.is_inferred OR target.changed_at >= @start_ts
    )
  ),
  description 'Customers with their history (SCD2 by source time), without clear-text e-mail, phone or name; one that only an accepted order names is inferred. Candidate of certified.dim_customers.',
  grain (customer_id, valid_from),
  signals (
    anything_loaded()
  ),
  tags (
    customers
  ),
  audits (
    not_null(columns := (customer_id, valid_from), condition := changed_at >= @start_ts),
    unique_combination_of_columns(columns := (customer_id, valid_from), condition := changed_at >= @start_ts),
    periods_are_seamless(key := customer_id, condition := changed_at >= @start_ts)
  )
);

WITH loaded AS (
  /* By load, not by event: whatever a load brought since the window began is looked at again, so nothing is missed. */
  SELECT DISTINCT
    customer_id
  FROM staging.oltp_customers
  WHERE
    _loaded_at >= @start_ts AND NOT customer_id IS NULL
), versions AS (
  SELECT
    c.customer_id,
    c.email,
    c.city,
    c.region,
    c.country,
    c.postal_code,
    c.loyalty_tier,
    c.marketing_opt_in,
    c.customer_created_at,
    c.source_updated_at,
    MAX(c._loaded_at) AS _loaded_at,
    MIN(c.raw_load_id) AS raw_load_id
  FROM staging.oltp_customers AS c
  WHERE
    c.customer_id IN (
      SELECT
        l.customer_id
      FROM loaded AS l
    )
  GROUP BY
    c.customer_id,
    c.email,
    c.city,
    c.region,
    c.country,
    c.postal_code,
    c.loyalty_tier,
    c.marketing_opt_in,
    c.customer_created_at,
    c.source_updated_at
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY c.customer_id, c.source_updated_at
      ORDER BY MAX(c.raw_load_id) DESC, c.loyalty_tier, c.region, c.city, c.postal_code, c.email
    ) = 1
), named AS (
  /* By an order that breaks no rule, and that has been judged since: an order may leave quarantine long after its load. */
  SELECT
    customer_id,
    MIN(_loaded_at) AS seen_at
  FROM (
    SELECT
      customer_id,
      _loaded_at
    FROM staging.oltp_orders
    WHERE
      staged_at >= @start_ts
    UNION ALL
    SELECT
      customer_id,
      _loaded_at
    FROM staging.shopify_orders
    WHERE
      staged_at >= @start_ts
  ) AS orders
  WHERE
    NOT customer_id IS NULL
  GROUP BY
    customer_id
), inferred AS (
  SELECT
    n.customer_id,
    GREATEST(n.seen_at, @start_ts::TIMESTAMPNTZ) AS seen_at /* in the window, so that it is published with it */
  FROM named AS n
  LEFT JOIN core.dim_customers AS known
    ON known.customer_id = n.customer_id
  LEFT JOIN loaded AS l
    ON l.customer_id = n.customer_id
  WHERE
    known.customer_id IS NULL AND l.customer_id IS NULL
), history AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY source_updated_at) AS position,
    LEAD(source_updated_at) OVER (PARTITION BY customer_id ORDER BY source_updated_at) AS next_version_at,
    MAX(_loaded_at) OVER (PARTITION BY customer_id) AS changed_at
  FROM versions
), members AS (
  SELECT
    customer_id,
    CASE WHEN position = 1 THEN '1970-01-01'::TIMESTAMPNTZ ELSE source_updated_at END AS valid_from,
    next_version_at AS valid_to,
    FALSE AS is_inferred,
    SHA2(email, 256) AS email_hash,
    city,
    region,
    country,
    postal_code,
    loyalty_tier,
    marketing_opt_in,
    customer_created_at,
    source_updated_at,
    changed_at,
    raw_load_id
  FROM history
  UNION ALL
  SELECT
    i.customer_id,
    '1970-01-01'::TIMESTAMPNTZ,
    NULL,
    TRUE,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    i.seen_at,
    NULL
  FROM inferred AS i
)
SELECT
  customer_id::VARCHAR AS customer_id, /* Customer; ids of shopify customers begin with shopify: */
  valid_from::TIMESTAMPNTZ AS valid_from, /* First instant of this version, UTC; 1970-01-01 for the first one */
  COALESCE(valid_to, '9999-12-31'::TIMESTAMPNTZ)::TIMESTAMPNTZ AS valid_to, /* First instant after this version; 9999-12-31 while it holds */
  (
    valid_to IS NULL
  )::BOOLEAN AS is_current, /* Whether this is the latest version */
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
FROM members
