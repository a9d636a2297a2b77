"""edge-watch SETTINGS: the service."""

import asyncio
import json
import sys
from pathlib import Path

from .echoes import Echoes
from .edge import Edge


def main(path: str) -> None:
    """Work until told to stop. It keeps nothing: a new process finds out all by itself within a second."""
    settings = json.loads(Path(path).read_text())
    edge = Edge(settings, Echoes(), lambda text: print(text, flush=True))
    asyncio.run(edge.work())


if __name__ == "__main__":
    main(sys.argv[1])
