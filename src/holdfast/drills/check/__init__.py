"""The checker: pure functions from what clients saw to what that proves. Exact, and itself checked by tests."""
