"""`python -m vqcodec` is the command `vqcodec`."""

from vqcodec.cli import main

main(prog_name="vqcodec")
