"""Audio files <-> .vqc files, live streams, and codes of other tools."""
