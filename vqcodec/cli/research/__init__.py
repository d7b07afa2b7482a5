"""Commands that train, compare and publish models."""
