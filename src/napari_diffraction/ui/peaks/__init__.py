"""The panel that finds peaks, lets a person correct them, and redraws patterns from them."""
