"""A program for servers: how busy this host is."""
