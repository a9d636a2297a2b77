"""The whole cluster as one frozen value: pure, the same bytes in, the same digest out."""
