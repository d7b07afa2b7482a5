/** What is said of a file that is damaged or cut, in seconds. */

import { clock } from "./clock.js";
import { DamagedError, TruncatedError } from "./errors.js";

/** @typedef {import("./header.js").Header} Header */

/** The DamagedError of a span of frames; null: to the end of the file. */
export function damaged(/** @type {Header} */ header, /** @type {number} */ startFrame, /** @type {number | null} */ endFrame) {
  const start = header.secondsAt(startFrame);
  const { samples, originalRateHz } = header;
  const duration = samples === null ? null : samples / originalRateHz;
  const end = endFrame === null ? duration : header.secondsAt(endFrame);
  const to = end === null ? "the end" : clock(end);
  const where = startFrame === endFrame ? `has damage at ${clock(start)}, no audio lost` : `is damaged from ${clock(start)} to ${to}`;
  return new DamagedError(`the .vqc ${where} (checksum)`, start, end);
}

/** The TruncatedError of a file that ends where `frame` should begin. @param {Header} header @param {number} frame */
export function truncated(header, frame) {
  const { samples, originalRateHz } = header;
  const of = samples === null ? "" : ` of ${clock(samples / originalRateHz)}`;
  return new TruncatedError(`the .vqc is cut: it ends after ${clock(header.secondsAt(frame))}${of}`);
}
