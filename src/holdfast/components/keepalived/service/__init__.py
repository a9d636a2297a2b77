"""Programs for servers: what keepalived must know."""
