"""The Shopify Admin GraphQL queries (version 2026-10), written out: each validates against the published schema.

``$first`` is a variable wherever a page is asked for: Shopify publishes no cost formula, so a page that costs too much
is halved. The nested sizes keep a page of 250 orders below 1,000 points by the costs people have measured; what does
not fit them is fetched by the follow-up queries, never cut off.

Money is Shopify's own sales ledger: ``Order.agreements`` states every sale, return and edit as an event of its own. An
agreement is no node: it cannot be asked for by its id, so the follow-up queries go to it through its order, by cursors.

A bulk operation takes one connection at the root and those below it (five in all, two levels down), through edges only,
and none inside a list. ``Order.refunds`` is a list: there the bulk query only says which orders have any.
"""

from __future__ import annotations

import json

# What the queries need, by the schema; orders of more than 60 days ago need read_all_orders, too
ACCESS_SCOPES = ("read_customers", "read_inventory", "read_locations", "read_orders", "read_products")

# ``Order.refunds`` is a list without a cursor: as many as asked for may mean that there are more, so ask for more
REFUNDS_ASKED = (7, 50, 250)

_LINE = """
          id
          sku
          title
          quantity
          currentQuantity
          originalUnitPriceSet { shopMoney { amount } }
          discountAllocations { allocatedAmountSet { shopMoney { amount } } }
          taxLines { priceSet { shopMoney { amount } } }
"""

_REFUND_LINES = """
          nodes {
            id
            quantity
            lineItem { id sku }
            subtotalSet { shopMoney { amount } }
            totalTaxSet { shopMoney { amount } }
          }
          pageInfo { hasNextPage endCursor }
"""

_SHIPPING_LINES = """
          nodes { id subtotalAmountSet { shopMoney { amount } } taxAmountSet { shopMoney { amount } } }
          pageInfo { hasNextPage endCursor }
"""

# Amounts of a sale are of the whole sale, signed: a return has a negative quantity and negative amounts
_SALE = """
            id
            actionType
            lineType
            quantity
            totalAmount { shopMoney { amount currencyCode } }
            totalTaxAmount { shopMoney { amount } }
            totalDiscountAmountBeforeTaxes { shopMoney { amount } }
            totalDiscountAmountAfterTaxes { shopMoney { amount } }
            ... on ProductSale { lineItem { id sku } }
            ... on GiftCardSale { lineItem { id sku } }
            ... on TipSale { lineItem { id sku } }
"""

_AGREEMENT = """
          id
          happenedAt
          reason
          ... on RefundAgreement { refund { id note } }
"""

_HEADER = """
      id
      name
      createdAt
      processedAt
      updatedAt
      cancelledAt
      test
      currencyCode
      displayFinancialStatus
      displayFulfillmentStatus
      taxesIncluded
      sourceName
      retailLocation { id name }
      customer { id }
      subtotalPriceSet { shopMoney { amount } }
      totalDiscountsSet { shopMoney { amount } }
      totalTaxSet { shopMoney { amount } }
      totalShippingPriceSet { shopMoney { amount } }
      totalPriceSet { shopMoney { amount } }
      originalTotalPriceSet { shopMoney { amount } }
      currentTotalPriceSet { shopMoney { amount } }
      totalCashRoundingAdjustment { paymentSet { shopMoney { amount } } refundSet { shopMoney { amount } } }
"""

_ORDER = f"""{_HEADER}
      lineItems(first: 50) {{
        nodes {{{_LINE}        }}
        pageInfo {{ hasNextPage endCursor }}
      }}
      refunds(first: {REFUNDS_ASKED[0]}) {{
        id
        createdAt
        note
        totalRefundedSet {{ shopMoney {{ amount }} }}
        refundLineItems(first: 20) {{{_REFUND_LINES}        }}
        refundShippingLines(first: 1) {{{_SHIPPING_LINES}        }}
      }}
      agreements(first: 5) {{
        nodes {{{_AGREEMENT}          sales(first: 20) {{
            nodes {{{_SALE}            }}
            pageInfo {{ hasNextPage endCursor }}
          }}
        }}
        pageInfo {{ hasNextPage endCursor }}
      }}
"""

ORDERS_PAGE = f"""
query OrdersPage($first: Int!, $after: String, $query: String!) {{
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
    nodes {{{_ORDER}    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""

ORDER = f"""
query Order($id: ID!) {{
  order(id: $id) {{{_ORDER}  }}
}}
"""

ORDERS_BY_ID = 10  # by the costs people have measured, one order is 83 points


def orders_by_id(count: int) -> str:
    """The query of so many whole orders, by ``$id0``, ``$id1``, .. as ``o0``, ``o1``, .."""
    variables = ", ".join(f"$id{number}: ID!" for number in range(count))
    asked = "\n  ".join(f"o{number}: order(id: $id{number}) {{ ...Whole }}" for number in range(count))
    return f"query OrdersById({variables}) {{\n  {asked}\n}}\nfragment Whole on Order {{{_ORDER}}}\n"


ORDER_LINES = f"""
query OrderLines($id: ID!, $first: Int!, $after: String) {{
  order(id: $id) {{
    id
    updatedAt
    lineItems(first: $first, after: $after) {{
      nodes {{{_LINE}      }}
      pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}
"""

ORDER_REFUNDS = f"""
query OrderRefunds($id: ID!, $first: Int!) {{
  order(id: $id) {{
    id
    updatedAt
    refunds(first: $first) {{
      id
      createdAt
      note
      totalRefundedSet {{ shopMoney {{ amount }} }}
      refundLineItems(first: 20) {{{_REFUND_LINES}      }}
      refundShippingLines(first: 1) {{{_SHIPPING_LINES}      }}
    }}
  }}
}}
"""

REFUND_LINES = f"""
query RefundLines($id: ID!, $first: Int!, $after: String) {{
  refund(id: $id) {{
    id
    order {{ id updatedAt }}
    refundLineItems(first: $first, after: $after) {{{_REFUND_LINES}    }}
  }}
}}
"""

REFUND_SHIPPING_LINES = f"""
query RefundShippingLines($id: ID!, $first: Int!, $after: String) {{
  refund(id: $id) {{
    id
    order {{ id updatedAt }}
    refundShippingLines(first: $first, after: $after) {{{_SHIPPING_LINES}    }}
  }}
}}
"""

# Edges, not nodes: the cursor of the agreement before is how an agreement with more sales is asked for again
ORDER_AGREEMENTS = f"""
query OrderAgreements($id: ID!, $first: Int!, $after: String) {{
  order(id: $id) {{
    id
    updatedAt
    agreements(first: $first, after: $after) {{
      edges {{
        cursor
        node {{{_AGREEMENT}          sales(first: 100) {{
            nodes {{{_SALE}            }}
            pageInfo {{ hasNextPage endCursor }}
          }}
        }}
      }}
      pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}
"""

AGREEMENT_SALES = f"""
query AgreementSales($id: ID!, $agreement: String, $first: Int!, $after: String) {{
  order(id: $id) {{
    id
    updatedAt
    agreements(first: 1, after: $agreement) {{
      nodes {{
        id
        sales(first: $first, after: $after) {{
          nodes {{{_SALE}          }}
          pageInfo {{ hasNextPage endCursor }}
        }}
      }}
    }}
  }}
}}
"""

ORDERS_COUNT = """
query OrdersCount($query: String!) {
  ordersCount(query: $query, limit: null) { count precision }
}
"""

OLDEST_ORDER = """
query OldestOrder($query: String!) {
  orders(first: 1, query: $query, sortKey: UPDATED_AT) { nodes { updatedAt } }
}
"""

_VARIANT = """
          id
          sku
          title
          price
          updatedAt
          inventoryItem { id unitCost { amount } }
"""

PRODUCTS_PAGE = f"""
query ProductsPage($first: Int!, $after: String, $query: String) {{
  products(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
    nodes {{
      id
      title
      vendor
      productType
      status
      updatedAt
      variants(first: 100) {{
        nodes {{{_VARIANT}        }}
        pageInfo {{ hasNextPage endCursor }}
      }}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""

PRODUCTS_COUNT = """
query ProductsCount($query: String!) {
  productsCount(query: $query, limit: null) { count precision }
}
"""

PRODUCT_VARIANTS = f"""
query ProductVariants($id: ID!, $first: Int!, $after: String) {{
  product(id: $id) {{
    id
    updatedAt
    variants(first: $first, after: $after) {{
      nodes {{{_VARIANT}      }}
      pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}
"""

LOCATIONS = """
query Locations($first: Int!, $after: String) {
  locations(first: $first, after: $after) {
    nodes { id name }
    pageInfo { hasNextPage endCursor }
  }
}
"""

INVENTORY_PAGE = """
query InventoryPage($location: ID!, $first: Int!, $after: String, $query: String) {
  location(id: $location) {
    id
    inventoryLevels(first: $first, after: $after, query: $query) {
      nodes {
        id
        updatedAt
        item { id sku duplicateSkuCount }
        quantities(names: ["available", "on_hand", "incoming"]) { name quantity }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""

INVENTORY_ITEMS = """
query InventoryItems($location: ID!, $first: Int!, $after: String, $query: String!) {
  inventoryItems(first: $first, after: $after, query: $query) {
    nodes {
      id
      sku
      inventoryLevel(locationId: $location) { quantities(names: ["on_hand", "incoming"]) { name quantity } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

SCOPES = """
query Scopes {
  currentAppInstallation { accessScopes { handle } }
}
"""

# --- bulk operations ---------------------------------------------------------------------------------------------


def bulk_orders(search: str) -> str:
    """The bulk query of the orders that a search finds, with lines, agreements and sales, and the ids of their refunds.

    It takes no variables. The same search makes the same text, which is what one of our operations is known by.
    """
    return f"""{{
  orders(query: {json.dumps(search)}, sortKey: UPDATED_AT) {{
    edges {{ node {{{_HEADER}
      refunds(first: 1) {{ id }}
      lineItems {{
        edges {{ node {{{_LINE}        }} }}
      }}
      agreements {{
        edges {{ node {{{_AGREEMENT}          sales {{
            edges {{ node {{{_SALE}            }} }}
          }}
        }} }}
      }}
    }} }}
  }}
}}
"""


_OPERATION = "id status errorCode objectCount rootObjectCount fileSize url query"

BULK_RUN = f"""
mutation BulkRun($query: String!) {{
  bulkOperationRunQuery(query: $query) {{
    bulkOperation {{ {_OPERATION} }}
    userErrors {{ code message }}
  }}
}}
"""

BULK_OPERATION = f"""
query BulkOperation($id: ID!) {{
  bulkOperation(id: $id) {{ {_OPERATION} }}
}}
"""

BULK_OPERATIONS = f"""
query BulkOperations {{
  bulkOperations(first: 50, query: "operation_type:query", sortKey: CREATED_AT, reverse: true) {{
    nodes {{ {_OPERATION} }}
  }}
}}
"""

BULK_CANCEL = """
mutation BulkCancel($id: ID!) {
  bulkOperationCancel(id: $id) {
    bulkOperation { id status }
    userErrors { message }
  }
}
"""
