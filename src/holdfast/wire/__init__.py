"""The door to the servers: run, put, get."""
