"""Programs for servers: how a member stops."""
