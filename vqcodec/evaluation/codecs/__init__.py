"""Codecs under test: models of ours and of others, libraries, programs."""
