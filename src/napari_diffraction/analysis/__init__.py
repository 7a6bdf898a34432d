"""From labels to answers: the phase map of a scan."""
