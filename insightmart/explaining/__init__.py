"""Where a figure, an order or the state of a store comes from, down to loads, files and checks."""
