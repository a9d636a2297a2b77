"""Clients that load a cluster while it is broken, and the counting of what they saw."""
