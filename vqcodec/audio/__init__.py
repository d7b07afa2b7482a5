"""Audio files, resampling and spectra: soundfile, soxr and torch behind one door. A wave is [C, T] float32."""
