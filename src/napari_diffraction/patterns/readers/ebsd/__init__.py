"""What EBSD systems write: binary files, scans, and what stands beside the patterns in HDF5.

In come paths of files; out go a `Source`, pattern centres and steps of scans.
"""
