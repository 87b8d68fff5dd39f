"""Do the models' unit tests notice a mistake? Measured with mistakes made on purpose, one token each.

It stands in bench/ because it measures, and is imported by nothing; what it measures is tests/<layer>/*.yaml.
"""
