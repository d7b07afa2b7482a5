"""What listeners of the page's blind tests said, read back."""
