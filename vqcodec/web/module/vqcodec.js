/** What this module offers: .vqc files read and written, a model that decodes and encodes. */

export { openArriving } from "./arriving.js";
export { clock } from "./clock.js";
export { Decoder, Encoder, decodeFile } from "./codec.js";
export { compress } from "./compress.js";
export { EntropyModel } from "./entropy.js";
export { DamagedError, ModelError, TruncatedError, VersionError, VqcError } from "./errors.js";
export { Header, readHeader } from "./header.js";
export { loadModel } from "./load.js";
export { Model } from "./model.js";
export { graphFacts } from "./onnx.js";
export { Depacketizer, Packetizer } from "./packets.js";
export { VqcReader } from "./reader.js";
export { readSafetensors } from "./safetensors.js";
export { thin } from "./thin.js";
export { writeVqc } from "./writer.js";
