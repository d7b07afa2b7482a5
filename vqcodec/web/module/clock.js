/** Times as people write them. */

/** Write a time as people read it: 3725.5 is "1:02:05.50". @param {number} seconds */
export function clock(seconds, decimals = 2) {
  const scale = 10 ** decimals;
  const ticks = Math.round(seconds * scale);
  const whole = Math.floor(ticks / scale);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const part = decimals ? `.${String(ticks % scale).padStart(decimals, "0")}` : "";
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}${part}`;
}
