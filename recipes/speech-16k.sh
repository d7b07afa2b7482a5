#!/usr/bin/env bash
# Trains the bundled model from its first step, in the stages that recipes/README.md tells of, averages the last of them, and fits
# its entropy model.
#   recipes/speech-16k.sh RUNS TRAIN VALID [key=value ...]
# RUNS gets a folder per stage and speech-16k.safetensors. The same command goes on where it was interrupted. What follows VALID
# overrides every stage, such as devices=1 precision=bf16-mixed on a GPU.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0"
    exit 2
fi
runs=$1 train=$2 valid=$3
shift 3
recipes=$(dirname "$0")

stage() { # NAME RECIPE key=value ...: unless it is finished, begins it or goes on with it
    local name=$1 recipe=$recipes/$2.yaml resume=()
    shift 2
    if [ -f "$runs/$name/model.safetensors" ]; then return; fi
    if [ -d "$runs/$name/checkpoints" ]; then resume=(--resume); fi
    vqcodec train "$recipe" "data.train=[$train]" "data.valid=[$valid]" "$@" --run "$runs/$name" "${resume[@]}"
}

average() { # NAME STAGE STAGE ...: the mean of their weights
    local name=$1 stage weights=()
    shift
    if [ -f "$runs/$name/model.safetensors" ]; then return; fi
    for stage in "$@"; do weights+=("$runs/$stage/model.safetensors"); done
    mkdir -p "$runs/$name"
    python "$recipes/../tools/average.py" "$runs/$name/model.safetensors" "${weights[@]}"
}

mkdir -p "$runs"
stage 1-adamw speech-16k steps=28000 "$@"
stage 2-muon speech-16k init="$runs/1-adamw/model.safetensors" optimizer.kind=muon steps=6800 "$@"
stage 3-muon speech-16k init="$runs/2-muon/model.safetensors" optimizer.kind=muon steps=12250 "$@"
stage 4-perceptual speech-16k init="$runs/3-muon/model.safetensors" optimizer.kind=muon loss.perceptual=1 steps=6300 "$@"
stage 5-level speech-16k init="$runs/4-perceptual/model.safetensors" optimizer.kind=muon loss.perceptual=1 loss.level=0.5 steps=16300 "$@"
stage 6-deeper speech-16k init="$runs/5-level/model.safetensors" optimizer.kind=muon loss.perceptual=1.5 loss.level=0.5 \
    quantizer.dropout=0.4 steps=14000 "$@"
stage 7-longer speech-16k init="$runs/6-deeper/model.safetensors" optimizer.kind=muon loss.perceptual=1.5 loss.level=0.5 \
    quantizer.dropout=0.4 data.segment_seconds=2 data.batch_size=4 steps=13600 "$@"
stage 8-voice speech-16k-voice init="$runs/7-longer/model.safetensors" "$@"
stage 9-joint speech-16k-joint init="$runs/8-voice/model.safetensors" "$@"
stage 10-phase speech-16k-joint init="$runs/9-joint/model.safetensors" loss.complex=1.5 optimizer.learning_rate=3e-4 \
    optimizer.warmup_steps=200 steps=500 "$@"
stage 11-adversarial speech-16k-joint init="$runs/10-phase/model.safetensors" loss.complex=1.5 loss.level=1 loss.loudness=1.5 \
    loss.grid=5 optimizer.warmup_steps=100 steps=1900 "$@"
stage 12-plain speech-16k-joint init="$runs/10-phase/model.safetensors" loss.complex=1.5 discriminator.start_step=null \
    optimizer.learning_rate=1.5e-4 optimizer.warmup_steps=50 steps=700 "$@"
average 13-mean 10-phase 11-adversarial 12-plain
stage 14-again speech-16k-joint init="$runs/13-mean/model.safetensors" loss.complex=1.5 loss.level=1 loss.grid=5 \
    discriminator.start_step=null optimizer.learning_rate=1.5e-4 optimizer.warmup_steps=50 seed=7 steps=900 "$@"
average 15-mean 13-mean 14-again
if [ ! -f "$runs/speech-16k.safetensors" ]; then
    vqcodec fit-entropy "$train" --valid "$valid" --codebooks 12 --shifts 4 --model "$runs/15-mean/model.safetensors" \
        --out "$runs/speech-16k.safetensors"
fi
echo "$runs/speech-16k.safetensors"
