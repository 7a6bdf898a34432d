"""The panel that maps the phases of a scan."""
