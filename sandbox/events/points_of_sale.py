"""Where the online shop's own point of sale stands: apart, and light, because the settings name it as well."""

from __future__ import annotations

# Locations, and the store that each stands for: the second stands for none yet.
POS_STORES = {7001: 3, 7002: 0}
