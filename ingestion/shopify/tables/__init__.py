"""Shopify's records as Arrow tables of the contract: nested answers taken apart by columns, never record by record.

Ids, instants, amounts and sums are made by Arrow, a column at a time. What does not fit exactly raises ``UnfitError``:
nothing is rounded, cut or left NULL.
"""
