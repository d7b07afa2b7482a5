/** What can go wrong, as classes: each message is one line for the user. */

/** The base of all errors that this module throws on purpose. */
export class VqcError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** The bytes end before the format says they may. */
export class TruncatedError extends VqcError {}

/** A .vqc of a version that this release does not read. */
export class VersionError extends VqcError {}

/** Weights or graphs that are missing, damaged, or not the ones that wrote a file. */
export class ModelError extends VqcError {}

/** A checksum fails. `startSeconds` and `endSeconds` bound what is lost (null: unknown). */
export class DamagedError extends VqcError {
  /** @param {string} message @param {number | null} startSeconds @param {number | null} endSeconds */
  constructor(message, startSeconds = null, endSeconds = null) {
    super(message);
    this.startSeconds = startSeconds;
    this.endSeconds = endSeconds;
  }
}
