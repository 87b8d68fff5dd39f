"""A destination of dlt that is asked once what it can do. Seen on dlt 1.31.0.

dlt asks it eight times a load, and resolves all of its configuration each time, out of the environment and files that
no run changes: on a small load that is a quarter of the processor time.
"""

from __future__ import annotations

from copy import copy
from typing import Any


def asked_once(destination: Any) -> Any:
    """The same destination; what it says of itself it works out once for each way of naming.

    Asked with a configuration, which is how a client is made, it works it out as ever.
    """
    if "capabilities" in vars(destination):
        return destination
    ask, known = destination.capabilities, {}

    def capabilities(config: Any = None, naming: Any = None) -> Any:
        if config is not None:
            return ask(config, naming)
        if type(naming) not in known:
            known[type(naming)] = ask(None, naming)
        return copy(known[type(naming)])  # the pipeline sets file formats on it

    destination.capabilities = capabilities
    return destination
