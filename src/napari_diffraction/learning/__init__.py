"""From patterns to labels: networks, training, inference, evaluation, model files."""
