# The language modeller's job, from a folder of recordings to sound that a model of its tokens has drawn; the lines of
# docs/datasets.md, whose program is language_model.py. tests/test_journeys.py runs it beside recordings/.
set -eu -o pipefail

# One file is no audio: it is listed, the others are there, and the exit code says so. Repaired, it is all that is done.
if vqcodec tokenize recordings/ corpus --kbps 1.5 --workers 1 2> tokenized.txt; then exit 1; fi
[ "$(grep -c . corpus/failures.jsonl)" = 1 ]
grep -q '"broken.wav"' corpus/failures.jsonl
cp recordings/a.wav recordings/broken.wav
vqcodec tokenize recordings/ corpus --kbps 1.5 --workers 1 --resume --retry-failed
[ ! -s corpus/failures.jsonl ]

vqcodec tokens info corpus > info.txt
vqcodec tokens info corpus --json > info.json

# Tokens as batches with a pattern, a model of a few steps, what it samples, and the sound of that.
python language_model.py
[ -s drawn.wav ]
