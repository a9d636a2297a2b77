"""Your cluster in miniature: one real Debian machine for each host of the spec."""
