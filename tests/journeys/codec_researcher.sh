# The codec researcher's job, from a codebook and a metric of one's own to a number beside another codec; the lines of
# docs/extending.md, whose modules lie here. tests/test_journeys.py runs it beside recipes/, speech/ and clip.wav.
set -eu -o pipefail

small="steps=6 model.channels=16 model.stft_channels=8 model.latent_dim=8 data.batch_size=2 data.valid_clips=1"
small="$small quantizer.start_step=2 quantizer.kmeans_batches=2 log_every=2 validate_every=6 accelerator=cpu"

# shellcheck disable=SC2086
vqcodec --import random_codebook train recipes/vqvae.yaml model.codebook_kind=random data.train='[speech/train]' data.valid='[speech/valid]' --run runs/random $small
vqcodec --import random_codebook encode clip.wav clip.vqc --model runs/random/model.safetensors
vqcodec --import random_codebook --import snr_metric evaluate speech/valid --codecs runs/random/model.safetensors,opus@6 --kbps 1 --metrics snr,si_sdr --out results --listen 0 --workers 1
