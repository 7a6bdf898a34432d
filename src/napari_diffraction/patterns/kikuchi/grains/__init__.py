"""Patterns of one crystal found together, and their averages.

In comes a stack; out go its grains and their mean patterns.
"""
