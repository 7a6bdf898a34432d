"""Simulated patterns and the labels that go with them."""
