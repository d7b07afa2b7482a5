/** The part of recorder.js that runs where the sound does: it hands each block to the page. */

const { AudioWorkletProcessor, registerProcessor } = /** @type {any} */ (globalThis);

class Recording extends AudioWorkletProcessor {
  /** @param {Float32Array[][]} inputs */
  process([[block]]) {
    if (block) this.port.postMessage(block.slice());
    return true;
  }
}

registerProcessor("vqc-recorder", Recording);
