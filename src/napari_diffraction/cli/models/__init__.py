"""The commands around models: `models`, `train`, `evaluate`, `explain`."""
