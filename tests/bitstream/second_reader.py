"""A reader of .vqc written from the text of `vqcodec/bitstream/spec.py` alone: no numpy, nothing of the package.

Slow, strict and short: it stops with ValueError at anything that the text does not allow.
"""

import json
import zlib

COMMON_RATES_HZ = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000]


def read_vqc(data, tensors=None):
    """Header fields as a dict with `samples` and `tags`, and codes [C][K][F] as lists.

    `tensors`: of the model's weights file, from `read_safetensors`, for entropy-coded files.
    """
    header, place = read_header(data)
    codes = [[[] for _ in range(header["codebooks"])] for _ in range(header["channels"])]
    position, ended, tags = 0, False, {}
    total = None if header["samples"] is None else frames_for(header, header["samples"])
    after_header = place
    while place < len(data):
        tag, value, body, start, place = read_record(data, place, header, position)
        if tag & 0x80:
            if tag == 0x81:
                need(start == after_header, "tags not after the header")
                tags = read_tags(body)
            continue
        need(not ended and position != total, "a chunk after the end")
        if tag & 1:
            need(header["samples"] is None, "length twice")
            header["samples"] = int.from_bytes(body[:5], "little")
            body, ended = body[5:], True
        for k, layer in enumerate(chunk_layers(header, tag >> 1 & 31, value, body, tensors)):
            for c in range(header["channels"]):
                codes[c][k] += layer[c * value : (c + 1) * value]
        position += value
    need(ended or position == total, "too few frames")
    need(frames_for(header, header["samples"]) == position, "samples and frames differ")
    return {**header, "tags": tags}, codes


def read_header(data):
    need(data[:4] == b"VQC\x01", "magic")
    codes = (data[11] >> 4, data[11] & 15)
    place, rates = 14, []
    for code in codes:
        if code == 15:
            rates.append(int.from_bytes(data[place : place + 3], "little"))
            place += 3
        else:
            rates.append(COMMON_RATES_HZ[code])
    width = data[8] & 15
    samples = int.from_bytes(data[place : place + width], "little") if width else None
    place += width
    need(crc(data[:place], 16, 0x1021, 0xFFFF, 0) == int.from_bytes(data[place : place + 2], "little"), "CRC-16")
    header = {
        "fingerprint": data[4:8],
        "bits": (data[8] >> 4) + 1,
        "codebooks": data[9],
        "channels": data[10],
        "sample_rate_hz": rates[0],
        "original_rate_hz": rates[1],
        "hop_length": int.from_bytes(data[12:14], "little"),
        "samples": samples,
    }
    return header, place + 2


def frames_for(header, samples):
    model_samples = -(-samples * header["sample_rate_hz"] // header["original_rate_hz"])
    return -(-model_samples // header["hop_length"])


def read_record(data, start, header, position):
    tag, value = data[start], int.from_bytes(data[start + 1 : start + 3], "little")
    need(tag & 0xC0, "reserved record")
    coding = tag >> 1 & 31
    sized = not tag & 0x80 and coding > 0
    head = data[start : start + (7 if sized else 4)]
    need(crc(head[:-1], 8, 0x2F, 0xFF, 0xFF) == head[-1], "CRC-8")
    if tag & 0x80:
        size = value
    elif sized:
        need(coding in (1, 2), "reserved coding")
        size = int.from_bytes(head[3:6], "little")
    else:
        size = header["codebooks"] * layer_bytes(header, value) + 5 * (tag & 1)
    place = start + len(head)
    body, stored = data[place : place + size], data[place + size : place + size + 4]
    need(len(stored) == 4, "cut")
    need(zlib.crc32(position.to_bytes(8, "little") + head + body) == int.from_bytes(stored, "little"), "CRC-32")
    return tag, value, body, start, place + size + 4


def read_tags(body):
    tags, place = {}, 0
    while place < len(body):
        length = int.from_bytes(body[place : place + 2], "little")
        name, _, value = body[place + 2 : place + 2 + length].decode().partition("=")
        tags[name] = value
        place += 2 + length
    return tags


def layer_bytes(header, frames):
    return -(-header["channels"] * frames * header["bits"] // 8)


def chunk_layers(header, coding, frames, payload, tensors):
    """The codes of each layer [C * F]."""
    fixed, place = layer_bytes(header, frames), 0
    sizes, equal = [], []
    for _ in range(header["codebooks"]):
        saved = shift = 0
        while coding:
            byte = payload[place]
            place += 1
            saved |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        sizes.append(saved // 2 if coding == 2 else fixed - saved)
        equal.append(coding == 2 and saved % 2 == 0)
    layers = []
    for k, size in enumerate(sizes):
        layer = payload[place : place + size]
        place += size
        if coding == 2:
            weights_of = None if equal[k] else tensors
            layers.append(varied_layer(layer, k, layers, header, frames, weights_of))
        elif size == fixed:
            layers.append(fixed_layer(layer, header["channels"] * frames, header["bits"]))
        else:
            layers.append(coded_layer(layer, k, layers, header["channels"], frames, tensors))
    need(place == len(payload), "payload too long")
    return layers


def fixed_layer(layer, count, bits):
    number, left = int.from_bytes(layer, "big"), 8 * len(layer) - count * bits
    need(number % (1 << left) == 0, "padding")
    return [number >> (left + (count - 1 - i) * bits) & (1 << bits) - 1 for i in range(count)]


def coded_layer(layer, k, lower, channels, frames, tensors):
    """Range decoding, the weights of each code from the network of layer k."""
    coder, codes = RangeCoder(layer), []
    for c in range(channels):
        own = []
        below = [row[c * frames : (c + 1) * frames] for row in lower]
        for frame in range(frames):
            own.append(coder.next(code_weights(tensors, k, own if k == 0 else below, frame, frames)))
        codes += own
    return codes


def varied_layer(layer, k, lower, header, frames, tensors):
    """Which frames go on, and their codes; -1 where there is none. Without `tensors` all codes weigh the same."""
    coder, codes = RangeCoder(layer), []
    for c in range(header["channels"]):
        below = [row[c * frames : (c + 1) * frames] for row in lower]
        reached = [k == 0 or below[k - 1][frame] >= 0 for frame in range(frames)]
        p = [1024, 1024, 512, 512, 3584, 3584]
        b, goes_on = 0, []
        for frame in range(frames):
            yes = False
            if reached[frame]:
                i = 2 * b + (frame + 1 < frames and reached[frame + 1])
                yes = coder.next([p[i], 4096 - p[i]]) == 0
                p[i] += (4096 - p[i]) >> 5 if yes else -(p[i] >> 5)
            b = 2 if yes else 1 if reached[frame] else 0
            goes_on.append(yes)
        own = []
        for frame in range(frames):
            if not goes_on[frame]:
                own.append(-1)
            elif tensors is None:
                own.append(coder.next([1] * (1 << header["bits"])))
            else:
                own.append(coder.next(code_weights(tensors, k, own if k == 0 else below, frame, frames)))
        codes += own
    return codes


class RangeCoder:
    def __init__(self, layer):
        self.stream = iter(layer)
        self.width, self.offset = 1 << 56, 0
        for _ in range(7):
            self.offset = self.offset * 256 + next(self.stream, 0)

    def next(self, weights):
        """The next symbol, of these weights."""
        share = self.width // sum(weights)
        target = self.offset // share
        need(target < sum(weights), "impossible code")
        symbol = start = 0
        while start + weights[symbol] <= target:
            start += weights[symbol]
            symbol += 1
        self.offset -= share * start
        self.width = share * weights[symbol]
        while self.width < 1 << 48:
            self.width *= 256
            self.offset = self.offset * 256 + next(self.stream, 0)
        return symbol


def code_weights(tensors, k, known, frame, frames):
    embedding, decay = tensors["entropy.embedding"], tensors["entropy.decay"]
    dim, x = len(embedding[0][0]), []
    for lag in tensors[f"entropy.{k}.lags"]:
        at = frame + lag
        if not 0 <= at < frames:
            x += [0] * dim
        elif k == 0:
            x += embedding[0][known[at]] if known[at] >= 0 else [0] * dim
        else:
            there = [j for j in range(k) if known[j][at] >= 0]
            x += [sum(embedding[j][known[j][at]][d] for j in there) for d in range(dim)]
    h = [min(max(value, 0), 255) for value in affine(tensors, f"entropy.{k}.hidden", x)]
    g = [min(max(value, -127), 127) for value in affine(tensors, f"entropy.{k}.narrow", h)]
    y = affine(tensors, f"entropy.{k}.levels", g)
    return [decay[min(max(y) - value, len(decay) - 1)] for value in y]


def affine(tensors, name, x):
    rows = zip(tensors[f"{name}.weight"], tensors[f"{name}.bias"], tensors[f"{name}.shift"], strict=True)
    return [(sum(w * value for w, value in zip(row, x, strict=True)) + bias) >> shift for row, bias, shift in rows]


def read_safetensors(data):
    """Integer tensors by name, as nested lists."""
    length = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if not name.startswith("entropy."):
            continue
        first, last = entry["data_offsets"]
        size = {"I8": 1, "I32": 4}[entry["dtype"]]
        raw = data[8 + length + first : 8 + length + last]
        values = [int.from_bytes(raw[i : i + size], "little", signed=True) for i in range(0, len(raw), size)]
        for extent in reversed(entry["shape"][1:]):
            values = [values[i : i + extent] for i in range(0, len(values), extent)]
        tensors[name] = values
    return tensors


def crc(data, bits, polynomial, register, xor_out):
    """A CRC without reflection, bit by bit."""
    for byte in data:
        register ^= byte << (bits - 8)
        for _ in range(8):
            register = register << 1 ^ (polynomial if register >> (bits - 1) else 0)
            register &= (1 << bits) - 1
    return register ^ xor_out


def need(condition, what):
    if not condition:
        raise ValueError(what)
