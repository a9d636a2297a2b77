"""The lab: one real Debian machine per host of a cluster, on this computer."""
