"""The commands that find peaks and unit cells: `peaks`, `unit-cell`, `solve`."""
