"""Rules, metrics and columns as their YAML files define them, and the pages made of them."""
