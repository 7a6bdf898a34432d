"""Random crystal structures of each Bravais lattice, from near real chemistry to anything.

In come a lattice and a seed; out goes a `Structure` without hidden symmetry.
"""
