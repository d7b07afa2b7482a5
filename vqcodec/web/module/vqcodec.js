/** What this module offers: .vqc files read and written, a model that decodes and encodes. */

export { Decoder, Encoder, Model, decodeFile, graphFacts } from "./codec.js";
export { EntropyModel } from "./entropy.js";
export { DamagedError, ModelError, TruncatedError, VersionError, VqcError } from "./errors.js";
export { Header, readHeader } from "./header.js";
export { loadModel } from "./load.js";
export { VqcReader, clock } from "./reader.js";
export { readSafetensors } from "./safetensors.js";
export { writeVqc } from "./writer.js";
