"""Signed model parameters: sign where you train, verify where you serve."""
