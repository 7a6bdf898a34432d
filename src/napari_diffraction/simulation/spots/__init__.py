"""Simulated spot patterns: lists of spots, their drawing, labels, and labelled stacks.

In come cells and `conditions`; out go patterns with their truth.
"""
