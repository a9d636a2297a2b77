"""The service itself: standard library only. It runs on the servers, never while a design is made."""
