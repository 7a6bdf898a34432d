"""HDF5, NeXus and CXI: where the patterns lie in a file, and reading them.

In comes the path of a file; out goes a `Source`.
"""
