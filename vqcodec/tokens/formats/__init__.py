"""The formats of shards, their writers and readers."""
