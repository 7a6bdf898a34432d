"""A model at work on a stack: all at once, as it grows, and with its borders suited to the stack.

In come a `Classifier` and a `PatternStack`; out go tables with a row for each pattern.
"""
