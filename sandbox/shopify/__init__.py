"""The simulated shop and its Admin GraphQL API."""
