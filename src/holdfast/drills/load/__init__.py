"""Loads: clients of every layer, from outside and on one clock, that write down what they saw."""
