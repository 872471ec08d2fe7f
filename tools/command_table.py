"""Write shotover/docs/commands.md: what becomes of each Redis command in each topology.

It starts servers and the proxy and compares what they say (tests/integration/topologies/matrix.py);
a test compares the page with what it sees.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from integration.topologies import matrix  # type: ignore[import-not-found]

    (ROOT / "shotover" / "docs" / "commands.md").write_text(matrix.page())
