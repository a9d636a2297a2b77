# Written by Holdfast. Changes made here are shown as drift and undone by the next apply.
"""Loaded by Python before Patroni, and by nothing that Patroni starts: its API answers at once.

The head and the body of an answer are written one after the other, and the kernel keeps the body back until the asker
has confirmed the head, 40 ms later: at every check of a router, and at every vote of an election.
"""

import os
import socketserver

socketserver.StreamRequestHandler.disable_nagle_algorithm = True
os.environ.pop("PYTHONPATH", None)
