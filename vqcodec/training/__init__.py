"""Training: data, losses, the loop, checkpoints and logs. Needs the extra `train`."""
