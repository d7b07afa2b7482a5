"""A .vqc in a browser: `module/`, JavaScript without a build step, and the page that it makes.

The module is a second implementation of `vqcodec/bitstream/spec.py`; README of it: docs/web.md.
"""
