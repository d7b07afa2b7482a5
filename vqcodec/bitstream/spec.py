"""The .vqc format, version 1: the one description, from which a reader can be written without any other file.

A file is one header and then records up to the end of the file. Integers are little-endian and unsigned.
Every checksum is a CRC as catalogued by Greg Cook (https://reveng.sourceforge.io/crc-catalogue):
CRC-8/AUTOSAR guards a record's head, CRC-16/IBM-3740 the file's header, CRC-32/ISO-HDLC (zlib) a record.
A CRC of n bits detects every error within n adjacent bits, so each of them detects every damaged single byte.

Header: 16 to 27 bytes, at most 21 when both rates are common ones

    offset  bytes  field
    0       3      magic "VQC"
    3       1      version, 1
    4       4      fingerprint: first bytes of the SHA-256 of the model's weights
    8       1      high four bits: bits per code - 1 (codebook_size = 2 ** bits, 2 to 65536)
                   low four bits: W, bytes of the field `samples`, 0 to 5
    9       1      num_codebooks K, 1 to 255
    10      1      channels C, 1 to 255
    11      1      high four bits: rate code of sample_rate_hz (the model's)
                   low four bits: rate code of original_rate_hz (the input's, restored on decoding)
    12      2      hop_length, model samples per frame, 1 to 65535
    14      0 or 3 sample_rate_hz, present when its rate code is 15
    ..      0 or 3 original_rate_hz, present when its rate code is 15
    ..      W      samples per channel at the original rate; W = 0: unknown, the last chunk carries it
    ..      2      CRC-16 of all header bytes before it

Rate codes 0 to 12 index `COMMON_RATES_HZ`, 13 and 14 are invalid. Rates go from 4000 to 192000. A common rate
never stands in 3 bytes, and W is the smallest width, at least 1, that holds the samples: one header, one spelling.

Frames. `samples` become n = ceil(samples * sample_rate_hz / original_rate_hz) model samples and ceil(n / hop_length)
frames. A frame is one code per channel and codebook. Frame f starts at f * hop_length / sample_rate_hz seconds.

Record: head, body, CRC-32; 8 or 11 bytes and the body

    offset  bytes  field
    0       1      tag
    1       2      value
    3       0 or 3 n, present in chunks of a coding other than 0
    ..      1      CRC-8 of the head's bytes before it: no reader follows a damaged length
    ..      n      body; where the head does not store n, tag and value give it
    ..      4      CRC-32 of: position (8 bytes, not stored), head, body. The position is the number of frames in all
                   chunks before this record, so that a lost or a repeated chunk shows, and so that whoever finds a
                   whole record behind a damaged one can compute where it belongs.

    tag                      meaning
    0b00......               reserved: a reader that does not know it refuses the file
    0b01ccccc0   0x40 to 44  chunk; value = its frames F, 1 to 65535; ccccc = coding, 0 = fixed width, 1 = entropy-
                             coded, 2 = of varied depth; a reader refuses the others, which are reserved
    0b01ccccc1   0x41 to 45  last chunk of a file with unknown samples (and only there); value = F, 0 to 65535 (0 only
                             in fixed width); the body starts with `samples`, 5 bytes
    0b1.......               skippable: value = n; a reader that does not know it skips it
    0x81                     tags; right after the header or nowhere

Tags. The body is a sequence of entries: the length of the text, 2 bytes, then the text, "name=value" in UTF-8. Names
are 1 to 64 of a-z, 0-9, "_", ".", "-", each once and in ascending order; values hold no NUL and no carriage return.

Equal channels. In a file of one channel, a tag "vqc.channels" of 2 to 255 in decimal says how many channels the input
had, all the same: decoding gives as many. A reader that does not know it gives one. Any other value says nothing.

Fixed-width payload. For codebook k = 0, 1, .. K - 1 one layer: for channel c = 0 .. C - 1, for frame 0 .. F - 1
its code in `bits` bits, most significant bit first, without gaps; then zero bits up to a whole byte. A layer
takes ceil(C * F * bits / 8) bytes; fewer codebooks are a prefix of the payload. Chunks whose fixed-width payload
would have more than 1048576 bytes are invalid in either coding: a head can claim no more memory than that.

Entropy-coded payload. First, for each codebook, how many bytes its layer is shorter than a fixed-width one, in LEB128
(seven bits a byte, the lowest first, the high bit set where another byte follows, no needless bytes, at most 3); then
the layers. A layer that saves 0 bytes is fixed-width. Every other one is range-coded; the codes come in the order of
the fixed-width layer. Fewer codebooks are a prefix of the sizes and a prefix of the layers: no layer needs one above.

Payload of varied depth. Each frame of a channel has a depth d, 0 to K: it has codes in the first d layers and none
above. First, for each codebook, 2 * n + m in LEB128, as above: n is the number of bytes of its layer; m is 1 where the
weights of its codes are the model's, 0 where each of the 2 ** bits codes weighs 1. Then the layers, all of them
range-coded. Layer k holds for channel c = 0 .. C - 1: for each frame of depth k or more, in order, whether it goes on
(its depth is above k), and then the codes of those that do, in order. Fewer codebooks are a prefix, as above; the
depths end there. A layer has at most C * F * (bits + 8) / 8 + 8 bytes, rounded up; C * F * K is at most 1048576, and so
are the bytes of the payload.

Whether frame f goes on is one of two symbols, "yes" first, of weights p[i] and 4096 - p[i]. i = 2 * b + a: b is 0
where f is the chunk's first frame or frame f - 1 has a depth below k, 1 where it has k, 2 where it goes on; a is 1
where frame f + 1 is in the chunk and has a depth of k or more. For each layer and channel p starts as 1024, 1024, 512,
512, 3584, 3584; after a yes p[i] += (4096 - p[i]) >> 5, after a no p[i] -= p[i] >> 5.

Pauses. What a frame of depth 0 sounds like: as one of the last 4 frames before it, in its chunk and channel, that have
codes, or as all of them where they are fewer; call their number m, the oldest of them 0, and as a lost frame where m is
0. For each channel x starts as the number of the chunk's first frame, modulo 65536, and j as 0. For each frame of depth
0 of which m is 2 or more, in order, x = (25173 * x + 13849) modulo 65536 and then j += 1 + (x >> 8) modulo (m - 1); the
frame has the codes, and so the depth, of frame j modulo m. The weights of codes know nothing of it.

Range coder. Integers: `offset`, `width`, `share`. The layer is followed by as many zero bytes as are read. At the
start width = 2 ** 56, offset = the first 7 bytes, big-endian. For each code s in turn, with the weights w of its
context and T = sum(w): share = width // T; target = offset // share (if T or more, the layer is invalid); s is the
code with w[0] + .. + w[s - 1] = start <= target < start + w[s]; then offset -= share * start, width = share * w[s],
and while width < 2 ** 48: width *= 256, offset = offset * 256 + next byte.

Weights. They come from the tensors "entropy.*" of the model's weights file (safetensors), which the fingerprint covers.
All arithmetic is in integers; >> rounds down.

    embedding        int8 [N, S, D]: N layers can be entropy-coded, S = codebook_size
    decay            int32 [n], each 1 to 2 ** 24
    for each layer k = 0 .. N - 1:
    k.lags           int32 [L], in frames; all negative for k = 0
    k.hidden, k.narrow, k.levels
                     each `.weight` int8 [out, in], `.bias` int32 [out], `.shift` int32 [out], 0 to 31. The first
                     has in = L * D, the others the out before them, the last out = S

For frame f of one channel, x is the concatenation over the lags of e[f + lag], zeros where f + lag is outside the
chunk. For k = 0, e[t] = embedding[0, code 0 of frame t]; for k > 0, the sum over j < k of embedding[j, code j of
frame t]. A code that a frame of less depth does not have adds zeros.

    h = clip((hidden.weight @ x + hidden.bias) >> hidden.shift, 0, 255)
    g = clip((narrow.weight @ h + narrow.bias) >> narrow.shift, -127, 127)
    y = (levels.weight @ g + levels.bias) >> levels.shift
    w[s] = decay[min(max(y) - y[s], n - 1)]

A model in which a sum could exceed 2 ** 30 - 1 is invalid.

End of the file. Samples known: the chunks hold exactly the frames that the header's samples ask for (0 samples:
no chunk). Samples unknown: the last chunk ends the audio and its samples ask for exactly the frames present.
After that only skippable records may follow. Anything else after the end of the audio makes the file invalid.

Bounds. A reader's work is in proportion to the bytes. A head claims no more than a chunk of 1048576 bytes. A record of
8 + K bytes can hold 65535 frames (an entropy-coded layer may have no bytes), and who needs fewer decodes no more than
those of the last channel, beside all depths of a chunk. Lost frames: the whole chunk behind them says how many there
were, its head, its checksum and the head after it being right; in all at most 65536 and one for every bit of the file
before it. Where no chunk follows, at most 256 and one for every bit that is left.

Example. Fingerprint 01 23 45 67, model 16000 Hz, hop 320, original 16000 Hz, 1 channel, 900 samples (3 frames), 2
codebooks of 1024; codes of codebook 0: 1, 2, 3; of codebook 1: 1023, 0, 512.

    56 51 43            "VQC"
    01                  version 1
    01 23 45 67         fingerprint
    92                  10 bits per code, samples in 2 bytes
    02                  2 codebooks
    01                  1 channel
    33                  both rates: code 3, 16000 Hz
    40 01               hop 320
    84 03               900 samples
    fd 32               CRC-16 of the 16 bytes before
    40 03 00 73         a fixed-width chunk of 3 frames, CRC-8
    00 40 20 0c         0000000001 0000000010 0000000011 00
    ff c0 08 00         1111111111 0000000000 1000000000 00
    9b 32 5e 6e         CRC-32 of 00 00 00 00 00 00 00 00, head and body
"""

MAGIC = b"VQC"
VERSION = 1
FINGERPRINT_BYTES = 4

COMMON_RATES_HZ = (
    8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000,
)  # fmt: skip
EXPLICIT_RATE = 15
MIN_RATE_HZ = 4000
MAX_RATE_HZ = 192000

MAX_SAMPLES_BYTES = 5
MAX_SAMPLES = 256**MAX_SAMPLES_BYTES - 1
MAX_CHUNK_FRAMES = 65535
MAX_PAYLOAD_BYTES = 1 << 20
MAX_VARIED_CODES = 1 << 20
"""Places for codes in a chunk of varied depth, of which as few bytes as there are layers can tell."""
MAX_LOST_FRAMES = 1 << 16
"""Frames that may be lost beside one for every bit of the file before the next whole chunk."""

HEAD_BYTES = 4
CRC_BYTES = 4
TAG_CHUNK = 0x40
TAG_LAST_BIT = 0x01
TAG_TAGS = 0x81
EQUAL_CHANNELS = "vqc.channels"
MAX_CHANNELS = 255
COMFORT_FRAMES = 4
"""Frames, the last with codes, of which those without sound as one."""
CODING_FIXED = 0
CODING_ENTROPY = 1
CODING_DEPTHS = 2
CODINGS = (CODING_FIXED, CODING_ENTROPY, CODING_DEPTHS)
SIZE_BYTES = 3
MAX_VARINT_BYTES = 3

DEFAULT_FRAMES_PER_CHUNK = 256
"""Frames per chunk of a writer that is not told otherwise: 5.12 s at 50 Hz, and layers end on whole bytes."""
