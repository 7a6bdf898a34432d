"""The panel that finds the unit cell from zones, and what it draws."""
