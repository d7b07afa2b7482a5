"""Codecs of others that need more than a library of Python or two command lines: a file each."""
