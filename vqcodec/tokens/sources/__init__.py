"""Where utterances come from: folders, manifests, Kaldi, tar shards, Hugging Face datasets, lhotse."""
