"""Nets of zonal patterns explained by a unit cell, without any other knowledge.

In come the two shortest vectors of each net and the angle between them; out go cells with the
zones that they explain.
"""
