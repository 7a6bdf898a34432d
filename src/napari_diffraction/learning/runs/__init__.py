"""What every training has in common: epochs, files, schedule, processes.

It knows no task; the rooms of the tasks bring batches, loss and score.
"""
