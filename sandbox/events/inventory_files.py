"""The inventory files of an hour, as they come: whole, late, odd or broken."""

from __future__ import annotations

from sandbox.events.catalogue import Catalogue, Store
from sandbox.events.inventory_counts import InventoryFile, sound_file
from sandbox.events.inventory_faults import faults_of_day, versions

# -- files -------------------------------------------------------------------------------------------------------------


def files_of_hour(catalogue: Catalogue, hour: int) -> list[InventoryFile]:
    """All files about one hour (since the start of history), in all their versions, in order of sending per key."""
    faults = faults_of_day(catalogue, hour // 24)
    return [
        file
        for store in catalogue.stores
        if store.is_open_on(catalogue.date(hour // 24))
        for file in files_of_store(catalogue, hour, store, faults.get((hour, store.store_id)))
    ]


def files_of_store(catalogue: Catalogue, hour: int, store: Store, fault: str | None) -> list[InventoryFile]:
    """All versions of the files that one store sends about one hour, with a fault or without one."""
    sound = sound_file(catalogue, hour, store)
    return versions(catalogue, hour, store, sound, fault) if fault else [sound]
