/** How long an upstream asks to be left alone. RFC 9110 § 10.2.3. */

/** Docker Hub's window is six hours; nobody has to wait longer on an upstream's word. */
const MAX_SECONDS = 21_600;
const DEFAULT_SECONDS = 60;
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** Seconds, from 1 to 21,600; 60 when the header is missing or is neither a number nor a date. */
export function retryAfterSeconds(header: string | undefined, now: number = Date.now()): number {
  const text = header?.trim() ?? '';
  if (/^\d{1,10}$/.test(text)) return clamp(Number(text));
  const date = HTTP_DATE.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(date) ? DEFAULT_SECONDS : clamp(Math.ceil((date - now) / 1000));
}

function clamp(seconds: number): number {
  return Math.min(MAX_SECONDS, Math.max(1, seconds));
}
