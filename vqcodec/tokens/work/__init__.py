"""Who makes the shards: processes on this machine, or actors of a Ray cluster."""
