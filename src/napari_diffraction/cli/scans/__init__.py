"""The commands for EBSD scans: `index`, `phase-map`."""
