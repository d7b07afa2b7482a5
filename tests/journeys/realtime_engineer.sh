# The real-time engineer's job, from a pipe to a server of calls over a link that loses packets; the lines of
# docs/streaming.md, whose program is call.py. tests/test_journeys.py runs it beside speech.wav.
set -eu -o pipefail

cat speech.wav | vqcodec encode --live - - --kbps 3 --engine onnx | vqcodec decode --live - - --engine onnx > live.wav
cat speech.wav | vqcodec encode --live - call.vqc --kbps 3 --engine onnx
vqcodec verify call.vqc
vqcodec decode --live call.vqc call.wav --engine onnx

# The link breaks: what came is heard, and told to be not all.
if head -c 900 call.vqc | vqcodec decode --live - broken.wav --engine onnx 2> broken.txt; then exit 1; fi
grep -q "^Error: " broken.txt

# The recorder goes on, with less yet than its header says, and the encoder is ended by a signal. Its file is whole.
mkfifo recorder
vqcodec encode --live recorder ended.vqc --kbps 3 --engine onnx 2> ended.txt &
job=$!
exec 3<> recorder
head -c 64000 speech.wav >&3
while kill -0 $job 2> /dev/null && [ "$(cat ended.vqc 2> /dev/null | wc -c)" -le 500 ]; do sleep 0.02; done
kill -TERM $job
wait $job
exec 3>&-
vqcodec verify ended.vqc

python call.py > told.txt
