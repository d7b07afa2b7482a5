"""Commands for datasets of tokens."""
