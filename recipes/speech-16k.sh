#!/usr/bin/env bash
# Trains the bundled model from its first step, in the stages that recipes/README.md tells of, and fits its entropy model.
#   recipes/speech-16k.sh RUNS TRAIN VALID [key=value ...]
# RUNS gets a folder per stage and speech-16k.safetensors. The same command goes on where it was interrupted. What follows VALID
# overrides every stage, such as devices=1 precision=bf16-mixed on a GPU.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 2
fi
runs=$1 train=$2 valid=$3
shift 3
recipe=$(dirname "$0")/speech-16k.yaml

stage() { # NAME key=value ...: unless it is finished, begins it or goes on with it
    local name=$1 resume=()
    shift
    if [ -f "$runs/$name/model.safetensors" ]; then return; fi
    if [ -d "$runs/$name/checkpoints" ]; then resume=(--resume); fi
    vqcodec train "$recipe" "data.train=[$train]" "data.valid=[$valid]" "$@" --run "$runs/$name" "${resume[@]}"
}

mkdir -p "$runs"
stage 1-adamw steps=28000 "$@"
stage 2-muon init="$runs/1-adamw/model.safetensors" optimizer.kind=muon steps=6800 "$@"
stage 3-muon init="$runs/2-muon/model.safetensors" optimizer.kind=muon steps=12250 "$@"
stage 4-perceptual init="$runs/3-muon/model.safetensors" optimizer.kind=muon loss.perceptual=1 steps=6300 "$@"
stage 5-level init="$runs/4-perceptual/model.safetensors" optimizer.kind=muon loss.perceptual=1 loss.level=0.5 steps=16300 "$@"
stage 6-deeper init="$runs/5-level/model.safetensors" optimizer.kind=muon loss.perceptual=1.5 loss.level=0.5 \
    quantizer.dropout=0.4 steps=14000 "$@"
stage 7-longer init="$runs/6-deeper/model.safetensors" optimizer.kind=muon loss.perceptual=1.5 loss.level=0.5 \
    quantizer.dropout=0.4 data.segment_seconds=2 data.batch_size=4 steps=13600 "$@"
if [ ! -f "$runs/speech-16k.safetensors" ]; then
    vqcodec fit-entropy "$train" --valid "$valid" --shifts 4 --model "$runs/7-longer/model.safetensors" \
        --out "$runs/speech-16k.safetensors"
fi
echo "$runs/speech-16k.safetensors"
