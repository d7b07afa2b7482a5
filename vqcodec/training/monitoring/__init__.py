"""What is watched while a run trains: log, means of epochs, health of the codebooks, validation."""
