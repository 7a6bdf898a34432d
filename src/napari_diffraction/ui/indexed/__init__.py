"""The part of the phase map panel that shows a scan that was indexed."""
