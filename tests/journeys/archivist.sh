# The archivist's job, from a folder of recordings to an archive, a smaller copy and audio again; the lines of
# docs/command-line.md, on onnxruntime, which starts faster. tests/test_journeys.py runs it beside recordings/.
set -eu -o pipefail

# A first run is interrupted as soon as it has written something. What is there is whole.
vqcodec encode recordings/ --out-dir archive/ --kbps 3 --engine onnx 2> interrupted.txt &
job=$!
while kill -0 $job 2> /dev/null && ! ls archive/*.vqc > /dev/null 2>&1; do sleep 0.02; done
kill -TERM $job 2> /dev/null || true
wait $job || true
[ -z "$(find archive -type f -name '.*')" ]
vqcodec verify archive/
cp "$(ls archive/*.vqc | head -n 1)" first.vqc

# It is gone on with. One file is no audio: it is told, the others are done, and the exit code says so.
if vqcodec encode recordings/ --out-dir archive/ --kbps 3 --workers 2 --skip-existing --engine onnx 2> encoded.txt; then exit 1; fi
grep -q "broken.wav: no audio that libsndfile reads" encoded.txt
grep -q "2 channels, each coded by itself: 2 x 3 = 6 kbps in all" encoded.txt encoded.txt interrupted.txt
grep -Eq "^[0-9] files, 0:00:[0-9.]+, [0-9]+ bytes before and [0-9]+ after, .* [0-9] skipped, 1 failed$" encoded.txt
cmp first.vqc "archive/$(basename "$(ls archive/*.vqc | head -n 1)")"
rm recordings/broken.wav
vqcodec encode recordings/ --out-dir archive/ --kbps 3 --workers 2 --skip-existing 2> again.txt
grep -q "^0 files, .*, 4 skipped$" again.txt

# Of two channels their mean may do.
vqcodec encode recordings/deep/both.flac mono.vqc --mono mean --kbps 3 --engine onnx
[ "$(vqcodec info mono.vqc --json | grep -c '"channels": 1,')" = 1 ]

vqcodec verify archive/
vqcodec info archive/ --json > archive.jsonl
[ "$(wc -l < archive.jsonl)" = 4 ]
vqcodec thin archive/ --out-dir small/ --kbps 1.5
vqcodec decode small/ --out-dir audio/ --format opus --workers 2 --engine onnx
vqcodec decode 'archive/*.vqc' --out-dir minute/ --start 0:00:01 --duration 0:01 --engine onnx

# A byte is lost in the archive: the file is told, and every other is whole.
printf x | dd of=archive/deep/both.vqc bs=1 seek=60 conv=notrunc 2> dd.txt
if vqcodec verify archive/ > verified.txt; then exit 1; fi
[ "$(grep -c whole verified.txt)" = 3 ]
vqcodec decode archive/deep/both.vqc bridged.wav --conceal --engine onnx
