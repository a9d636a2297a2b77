"""edge-watch, a program for servers: who may be sent requests, and how many."""
