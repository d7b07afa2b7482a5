"""Training segments and their augmentation."""
