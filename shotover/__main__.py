"""`python -m shotover` is `shotover`."""

from __future__ import annotations

import sys

from shotover.cli import main

sys.exit(main())
