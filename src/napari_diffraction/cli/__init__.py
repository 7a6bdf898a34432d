"""The command line: the same verbs as the widgets, for a terminal and a cluster."""

from napari_diffraction.cli.app import main

__all__ = ["main"]
