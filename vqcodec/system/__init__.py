"""What stands between vqcodec and the operating system: pipes, and processes that are watched."""
