"""What a wheel of this project is made of, as CycloneDX 1.6 for its `.dist-info/sboms` (PEP 770).

In the wheel is our own code, and in its compiled modules what Cython puts into all that it makes. It needs PyYAML, and loads
OpenSSL 3 from the system when a topology speaks TLS; neither is in it. setup.py calls this; nothing is asked of a network.
"""

from __future__ import annotations

import json
import os
import time
from importlib import metadata
from pathlib import Path
from typing import Any

NAME = "shotover"
FILE = f"{NAME}.cdx.json"


def document(version: str) -> dict[str, Any]:
    """The bill of version `version`, the same for the same tools; its time is SOURCE_DATE_EPOCH, or left out."""
    about: dict[str, Any] = {"component": _component(NAME, version, "Apache-2.0", "application")}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        about["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(epoch)))
    cython = _component("cython", metadata.version("cython"), "Apache-2.0", "library")
    cython["description"] = "its support code is in every compiled module"
    yaml = _component("pyyaml", "", "MIT", "library")
    yaml["description"] = "needed to run, not in the wheel; version 6 or newer"
    openssl = {
        "type": "library",
        "bom-ref": "openssl",
        "name": "openssl",
        "description": "version 3 of the system, loaded for TLS, not in the wheel",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "scope": "optional",
    }
    parts = [cython, openssl, yaml]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": about,
        "components": parts,
        "dependencies": [
            {"ref": about["component"]["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}
        ],
    }


def _component(name: str, version: str, licence: str, kind: str) -> dict[str, Any]:
    """A distribution of Python's; without a version it is whichever is there."""
    url = f"pkg:pypi/{name}" + (f"@{version}" if version else "")
    found: dict[str, Any] = {"type": kind, "bom-ref": url, "name": name}
    if version:
        found["version"] = version
    found["purl"] = url
    found["licenses"] = [{"license": {"id": licence}}]
    if kind == "library":
        found["scope"] = "required"
    return found


def write(folder: Path, version: str) -> Path:
    """Writes it into `folder`, which need not be there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    file.write_text(
        json.dumps(document(version), indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    return file
