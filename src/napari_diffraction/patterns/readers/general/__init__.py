"""Formats that many programs write: arrays, pictures, TIFF, MRC, Zarr, frames of cameras.

In comes the path of a file; out goes a `Source`.
"""
