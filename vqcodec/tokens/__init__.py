"""Speech datasets as tokens."""
