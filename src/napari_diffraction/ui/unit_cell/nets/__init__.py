"""The nets of zones in the panel of the unit cell: their list, and their layers."""
