"""The service itself: standard library of Debian's Python only. It runs on the servers, never while a design is made."""
