"""What training pays for: spectra, levels, a model of PESQ, discriminators."""
