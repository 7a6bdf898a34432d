"""Sort stacks of electron-diffraction patterns: zones, Laue patterns, no-hits, several crystals."""
