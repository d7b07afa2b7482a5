# The job of who has used EnCodec, from its files and codes to those of vqcodec and a comparison; the lines of
# docs/other-models.md, whose program is moving.py. tests/test_journeys.py runs it beside old/, recordings/ and codes.npy.
set -eu -o pipefail

vqcodec import ecdc old/speech.ecdc speech.vqc --model hf:facebook/encodec_24khz
vqcodec import npy codes.npy codes.vqc --model hf:facebook/encodec_24khz --samples 24000
cmp speech.vqc codes.vqc
vqcodec import ecdc old/ --out-dir new/ --model hf:facebook/encodec_24khz
cmp speech.vqc new/speech.vqc
vqcodec decode speech.vqc speech.wav --model hf:facebook/encodec_24khz
vqcodec thin speech.vqc small.vqc --kbps 1.5
vqcodec verify small.vqc

# Without its model a file is refused, and the error says what to give.
if vqcodec decode speech.vqc none.wav 2> refused.txt; then exit 1; fi
grep -q "give its weights file as --model, or hf:USER/NAME" refused.txt

vqcodec tokenize recordings/ tokens --model hf:facebook/encodec_24khz --kbps 6 --workers 1
vqcodec evaluate recordings/ --codecs hf:facebook/encodec_24khz@1.5/6,speech-16k@1.5/6 --out results --metrics si_sdr --listen 0 --workers 1
python moving.py > told.txt
grep -q "the same codes: True" told.txt
cmp speech.vqc old/speech.vqc
