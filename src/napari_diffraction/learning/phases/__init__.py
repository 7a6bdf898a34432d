"""Classifiers of a few named phases, trained in minutes from the bands of simulated patterns.

In come crystal structures; out go models whose classes are these phases.
"""
