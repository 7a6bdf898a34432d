"""The commands `simulate spots` and `simulate kikuchi`."""
