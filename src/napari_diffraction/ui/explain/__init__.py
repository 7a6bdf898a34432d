"""The panel and the layer that show what a network looked at."""
