/** Packetizer and Depacketizer against the package's; test_live.py writes CASES and runs this. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Depacketizer, Packetizer } from "../../vqcodec/web/module/vqcodec.js";

const CASES = JSON.parse(readFileSync(process.env.CASES, "utf8"));
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));

test("packets have the bytes of the package's", () => {
  for (const { options, codes, packets } of CASES.sent) {
    const block = { codes: Int32Array.from(codes.flat(2)), layers: codes[0].length, frames: codes[0][0].length };
    const found = new Packetizer({ ...options, channels: codes.length }).push(block);
    assert.deepEqual(found.map((packet) => Buffer.from(packet).toString("hex")), packets);
  }
});

test("packets that are lost, late, repeated, damaged or of another stream give what they give the package", () => {
  for (const { channels, packets, frames, counts } of CASES.received) {
    const receiver = new Depacketizer({ channels, totalCodebooks: 12 });
    const found = [...packets.flatMap((hex) => receiver.push(bytes(hex))), ...receiver.skip(), ...receiver.flush()];
    const rows = found.map(({ codes, layers }) =>
      layers ? Array.from({ length: channels }, (_, channel) => [...codes.subarray(channel * layers, (channel + 1) * layers)]) : null,
    );
    assert.deepEqual(rows, frames);
    assert.deepEqual([receiver.damagedPackets, receiver.recoveredFrames, receiver.lostFrames], counts);
  }
});

test("what are no depths is refused", () => {
  const sender = new Packetizer();
  for (const codes of [[-1, -1], [1, -1, 1], [-1, 1]])
    assert.throws(() => sender.push({ codes: Int32Array.from(codes), layers: codes.length, frames: 1 }), RangeError);
});

test("what is no packet is damaged", () => {
  const receiver = new Depacketizer();
  for (const length of [0, 1, 5, 6, 20]) assert.deepEqual(receiver.push(new Uint8Array(length)), []);
  assert.equal(receiver.damagedPackets, 5);
});
