"""The packages of requirements.lock as a list of materials (CycloneDX 1.6, JSON): `make sbom` writes var/sbom.json."""

from __future__ import annotations

import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]
_ENTRY = re.compile(r"(?m)^(?=[A-Za-z0-9])")
_PINNED = re.compile(r"([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def materials(lock: str) -> dict[str, Any]:
    """A list of materials of a lock; the same for the same text, with the hashes of every file that it allows."""
    components = []
    for entry in _ENTRY.split(lock):
        if pinned := _PINNED.match(entry):
            name, version = canonicalize_name(pinned[1]), pinned[2]
            purl = f"pkg:pypi/{name}@{version}"
            hashes = [{"alg": "SHA-256", "content": found} for found in _HASH.findall(entry)]
            files = [{"type": "distribution", "url": f"https://pypi.org/project/{name}/{version}/", "hashes": hashes}]
            components.append(
                {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
                 "externalReferences": files}
            )  # fmt: skip
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, lock)}",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "insightmart"}},
        "components": components,
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        json.dumps(materials((PROJECT / "requirements.lock").read_text(encoding="utf-8")), indent=2) + "\n"
    )
