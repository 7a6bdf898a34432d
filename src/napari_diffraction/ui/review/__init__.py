"""The panel in which a person decides on doubtful patterns, exports them, and has a model learn."""
