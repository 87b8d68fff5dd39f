AUDIT (
  name gross_is_quantity_times_price
);

/* Money is exact: the product carries every decimal of the price. */
SELECT
  *
FROM @this_model
WHERE
  gross_sales <> quantity * unit_price
  OR net_sales_before_returns <> gross_sales - discount_amount
