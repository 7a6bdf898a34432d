"""The two-dimensional net on which most spots of a pattern lie, and which spots belong to it.

In come positions of spots; out go nets, indices on them, and spots of higher Laue zones.
"""
