"""Copies of the local warehouse and of SQLMesh's state, made together and put back together."""
