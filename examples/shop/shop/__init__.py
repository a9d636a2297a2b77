"""The Chandlery: a small online shop that stays open while the servers behind it fail."""
