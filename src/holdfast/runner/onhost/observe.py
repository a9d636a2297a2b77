"""Running probes on a server, side by side."""

import os
from concurrent.futures import ThreadPoolExecutor

from holdfast.runner.onhost.basics import Data, run

# One may wait while each processor has one to run. More would only wait in turn for the libraries' pages, and what
# starts a process meanwhile waits in that row, too, however urgent it is: 0.3 s with eight on two processors.
AT_ONCE = min(8, (os.cpu_count() or 1) + 1)


def answer(request: Data, aside: bool = False) -> Data:
    """Run probes; return their outputs by key. ``aside``: the caller has not stepped back itself."""
    probes = request["probes"]
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        outputs = pool.map(lambda probe: run(probe["argv"], probe["timeout_s"], aside=aside), probes)
    return {probe["key"]: output for probe, output in zip(probes, outputs, strict=True)}
