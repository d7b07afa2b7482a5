"""Streams and packets: piece by piece through a loaded model, with what it must remember."""
