"""Take down every lab of this computer, whoever made it, and remove the images."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from holdfast.lab.host import LABS
from holdfast.lab.lab import Lab, LabError, LabPlan, remove_images


def left_overs() -> Iterator[LabPlan]:
    """Yield a plan for every lab there is; taking down needs its name only."""
    for place in sorted(LABS.glob("*")):
        yield LabPlan(place.name, network_of(place / "lab.json"), (), (), (), "none", ())


def network_of(note: Path) -> str:
    """Return the network a lab was made with; any network when its note was never written."""
    try:
        return str(json.loads(note.read_text())["network"])
    except (OSError, ValueError, KeyError):
        return "192.0.2.0/24"


def main() -> int:
    """Remove all; return 1 when something could not be removed."""
    try:
        for plan in left_overs():
            Lab(plan, say).down()
        remove_images()
    except LabError as error:
        say(f"error: {error}")
        return 1
    return 0


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
