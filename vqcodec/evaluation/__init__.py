"""Codecs compared: bytes on disk against quality, over clips, codecs and rates; tables, curves and a listening page."""
