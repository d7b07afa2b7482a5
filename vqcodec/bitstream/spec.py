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

Record: head, body, CRC-32; 8 bytes and the body

    offset  bytes  field
    0       1      tag
    1       2      value
    3       1      CRC-8 of the three bytes before it: no reader follows a damaged length
    4       n      body; tag and value give n
    4 + n   4      CRC-32 of: position (8 bytes, not stored), head (4 bytes), body. The position is the number of
                   frames in all chunks before this record, so that a lost or a repeated chunk shows.

    tag                      meaning
    0b00......               reserved: a reader that does not know it refuses the file
    0b01ccccc0   0x40        chunk; value = its frames F, 1 to 65535; ccccc = coding, 0 = fixed width
    0b01ccccc1   0x41        last chunk of a file with unknown samples (and only there); value = F, 0 to 65535;
                             the body starts with `samples`, 5 bytes
    0b1.......               skippable: value = n; a reader that does not know it skips it (no such record exists yet)

Codings 1 to 31 are reserved for entropy coding; a reader of version 1 refuses them. Their lengths stand at the
start of the body.

Fixed-width payload. For codebook k = 0, 1, .. K - 1 one layer: for channel c = 0 .. C - 1, for frame 0 .. F - 1
its code in `bits` bits, most significant bit first, without gaps; then zero bits up to a whole byte. A layer
takes ceil(C * F * bits / 8) bytes; fewer codebooks are a prefix of the payload. A payload of more than 1048576
bytes is invalid: a head can claim no more memory than that.

End of the file. Samples known: the chunks hold exactly the frames that the header's samples ask for (0 samples:
no chunk). Samples unknown: the last chunk ends the audio and its samples ask for exactly the frames present.
After that only skippable records may follow. Anything else after the end of the audio makes the file invalid.

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

HEAD_BYTES = 4
CRC_BYTES = 4
TAG_CHUNK = 0x40
TAG_LAST_CHUNK = 0x41

DEFAULT_FRAMES_PER_CHUNK = 256
"""Frames per chunk of a writer that is not told otherwise: 5.12 s at 50 Hz, and layers end on whole bytes."""
