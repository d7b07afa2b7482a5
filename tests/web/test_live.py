"""The browser as one end of a stream: packets in JavaScript, and what docs/web.md says of a WebSocket."""

import asyncio
import json
import re
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

import vqcodec
from vqcodec.bitstream.binary import crc16
from vqcodec.web.folder import write_page

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
RUNTIME = ROOT / "web" / "node_modules" / "onnxruntime-web" / "dist"


def received(packets, channels):
    """What the package makes of packets: the codes of each frame, None for a lost one, and what it has counted."""
    receiver = vqcodec.Depacketizer(channels=channels, total_codebooks=12, on_damage=lambda _: None)
    items = [item for packet in packets for item in receiver.push(packet)] + receiver.skip() + receiver.flush()
    frames = []
    for item in items:
        frames += [None] if item is None else [item[:, :, at].tolist() for at in range(item.shape[2])]
    return frames, [receiver.damaged_packets, receiver.recovered_frames, receiver.lost_frames]


def disturbed(packets, random):
    """Packets, of which some are lost, repeated, late or bent."""
    kept = []
    for packet in packets:
        fate = random.random()
        if fate < 0.2:
            continue
        bent = bytes([*packet[:-1], packet[-1] ^ (fate < 0.3)])
        kept += [bent] * (2 if fate > 0.95 else 1)
    order = np.arange(len(kept)) + random.integers(0, 4, len(kept)) * (random.random(len(kept)) < 0.2)
    return [kept[at] for at in np.argsort(order, kind="stable")]


def resealed(packets, random):
    """Packets of which one of the first twelve bytes is changed, and the checksum is right all the same."""
    for packet in packets:
        body = bytearray(packet[:-2])
        body[random.integers(0, min(len(body), 12))] = random.choice([0, 1, 2, 3, 6, 16, 255])
        bits = 10 if crc16(bytes([10]) + packet[:-2]) == int.from_bytes(packet[-2:], "little") else 10 + 128
        yield bytes(body) + crc16(bytes([bits, *body])).to_bytes(2, "little")


def with_depths(codes, random):
    """Codes [C, K, n] of depths that change, and are the same in all channels for a while."""
    channels, layers, frames = codes.shape
    depths = random.integers(1, layers + 1, (channels, frames // 3 + 1)).repeat(3, axis=1)[:, :frames]
    depths[:, : frames // 4] = depths[:1, : frames // 4]
    return np.where(np.arange(layers)[:, None] < depths[:, None], codes, -1)


def with_pauses(codes, random):
    """Codes [C, K, n] with depths, and pauses of which the first frames have two codes, the others none."""
    codes = with_depths(codes, random)
    for start in range(3, codes.shape[2], 50):
        codes[:, 2:, start : start + 30] = -1
        codes[:, :, start + 4 : start + 30] = -1
    return codes


@pytest.mark.parametrize("depths", [None, with_depths, with_pauses])
def test_packets_in_javascript_are_those_of_the_package(tmp_path, node, depths):
    random = np.random.default_rng(0)
    cases = {"sent": [], "received": []}
    ways = ((1, 1, 0, 1, ()), (1, 1, 2, 2, ()), (2, 1, 3, 12, ()), (1, 4, 5, 1, ()))
    ways += ((1, 1, 0, 2, (1, 3)), (2, 1, 0, 3, (1, 2, 4)), (1, 3, 0, 1, (1, 2)))
    for channels, frames_per_packet, redundancy, layers, parity in ways:
        codes = random.integers(0, 1024, (channels, 6, 400))
        if depths:
            codes = depths(codes, random)
        dtx = depths == with_pauses
        options = {"redundancy": redundancy, "layers": layers, "parity": parity, "first_frame": 65500, "dtx": dtx}
        packets = vqcodec.Packetizer(frames_per_packet=frames_per_packet, **options).push(codes)
        if frames_per_packet == 1:
            about = {name: its for name, its in options.items() if name != "first_frame"} | {"firstFrame": 65500}
            sent = {"options": about, "codes": codes.tolist(), "packets": [packet.hex() for packet in packets]}
            cases["sent"].append(sent)
        far = packets[:50] + packets[340:] + packets[60:80]  # a jump of 290 frames ahead, and back
        bent = [*packets[:20], *resealed(packets, random)]
        for came in (disturbed(packets, random), far, disturbed(far, random), bent):
            frames, counts = received(came, channels)
            received_case = {"channels": channels, "packets": [each.hex() for each in came], "frames": frames}
            cases["received"].append(received_case | {"counts": counts})
        strange = vqcodec.packetize(random.integers(0, 1024, (channels, 13, 3)))  # of more codebooks, all damaged
        frames, counts = received([*packets[:9], *strange, *packets[9:20]], channels)
        came = [each.hex() for each in [*packets[:9], *strange, *packets[9:20]]]
        cases["received"].append({"channels": channels, "packets": came, "frames": frames, "counts": counts})
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(cases))
    node("packets.test.mjs", CASES=str(path))


def serve(program, folder, aiohttp):
    """Run the page's server for `folder` in a thread; returns its address and what ends it."""
    ready, loop, names = threading.Event(), asyncio.new_event_loop(), {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run_app(app, host, port):
        runner = aiohttp.web.AppRunner(app)
        loop.run_until_complete(runner.setup())
        loop.run_until_complete(aiohttp.web.TCPSite(runner, host, port).start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    names["run_app"] = run_app
    program = (
        program.replace("web.run_app(", "run_app(").replace("8080", str(port)).replace('"site"', repr(str(folder)))
    )
    thread = threading.Thread(target=exec, args=(program, names), daemon=True)
    thread.start()
    assert ready.wait(20)

    def end():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)

    return f"127.0.0.1:{port}", end


async def call(aiohttp, host, packets):
    """Be the other end: send packets, in time, and return what comes meanwhile."""
    heard = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://{host}/live") as link:

        async def listen():
            async for message in link:
                heard.append(message.data)

        task = asyncio.create_task(listen())
        for packet in packets:
            await link.send_bytes(packet)
            await asyncio.sleep(0.02)
        for _ in range(300):
            if len(heard) >= 50:
                break
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"http://{host}/live", headers={"Origin": "http://elsewhere"})
    return heard


@pytest.mark.slow
def test_the_page_of_docs_speaks_and_listens_through_a_websocket_that_loses_packets(tmp_path, speech):
    aiohttp = pytest.importorskip("aiohttp")
    for path in (CHROMIUM, RUNTIME):
        if not path.exists():
            pytest.skip(f"{path} is not there")
    from playwright.sync_api import sync_playwright

    text = (ROOT / "docs" / "web.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (lines,) = re.findall(r"`site/live.html`:\n\n((?:    .*\n|\n)+)", text)
    write_page(tmp_path / "site", [], runtime=RUNTIME)
    (tmp_path / "site" / "live.html").write_text(re.sub("^    ", "", lines, flags=re.MULTILINE), encoding="utf-8")
    codec = vqcodec.load(engine="onnx")
    codes = vqcodec.EncodeSession(codec, kbps=3).push(speech[None, :24000])
    packets = vqcodec.Packetizer(redundancy=2, layers=2).push(codes)
    random = np.random.default_rng(1)
    sent = [packet for at, packet in enumerate(packets) if at in (0, len(packets) - 1) or random.random() > 0.2]
    receiver = vqcodec.Depacketizer()
    for packet in sent:
        receiver.push(packet)
    recovered, lost = receiver.recovered_frames, receiver.lost_frames
    assert recovered > 5 and len(sent) < len(packets)
    host, end = serve(program, tmp_path / "site", aiohttp)
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    arguments += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
            page = browser.new_page()
            said = []
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(f"http://{host}/live.html")
            page.get_by_role("button", name="Call").click()
            page.wait_for_function("document.getElementById('state').textContent === 'connected'")
            heard = []
            thread = threading.Thread(target=lambda: heard.extend(asyncio.run(call(aiohttp, host, sent))))
            thread.start()
            page.wait_for_function(
                f"document.getElementById('state').textContent === '{recovered} recovered, {lost} lost'"
            )
            while thread.is_alive():
                page.wait_for_timeout(50)
            browser.close()
    finally:
        end()
    assert said == []
    listener = vqcodec.DecodeSession(codec)
    wave = np.concatenate([listener.push(item) for item in vqcodec.depacketize(heard)], axis=1)
    assert wave.shape[1] > 40 * codec.hop_length
    assert np.abs(wave).max() > 0.01  # the fake device beeps
