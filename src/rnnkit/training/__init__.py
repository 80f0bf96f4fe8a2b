"""Training: the trainer, optimizer, schedules, checkpoints, distributed training and signals."""
