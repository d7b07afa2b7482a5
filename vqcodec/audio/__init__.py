"""Audio files, resampling and spectra: soundfile, soxr and torch.stft behind one door. A wave here is [C, T] float32."""
