"""Events of lineage for those who collect them (OPENLINEAGE_URL), as the OpenLineage standard defines them."""
