"""Commands that make and read .vqc files."""
