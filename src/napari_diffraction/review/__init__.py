"""What a person makes of the labels: the queue, corrections, the session file, exports."""
