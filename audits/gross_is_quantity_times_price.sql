AUDIT (
  name gross_is_quantity_times_price
);

/* Money is exact: the product carries every decimal of the price. Shopify states what a line came to, and its price is
   that divided by the pieces: rounded to its four decimals, so by half of the last of them for each piece. */
SELECT
  *
FROM @this_model
WHERE
  ABS(gross_sales - quantity * unit_price) > CASE WHEN source_system = 'shopify' THEN 0.00005 * quantity ELSE 0 END
  OR net_sales_before_returns <> gross_sales - discount_amount
