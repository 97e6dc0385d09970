"""`python -m sluice_authorizer`: answer routers until SIGTERM."""

from __future__ import annotations

import sys

from sluice_authorizer.main import main

if __name__ == "__main__":
    sys.exit(main())
