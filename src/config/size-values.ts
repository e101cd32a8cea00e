/** Amounts of bytes in settings, in figures or as a share of what there is. */
import { readBy, Unreadable, type TextSchema } from './setting-values';
import type { Space } from './settings';

/** Largest first, so that an amount is shown in the largest unit that it is a whole number of. */
const UNITS = {
  TiB: 1024 ** 4,
  TB: 1000 ** 4,
  GiB: 1024 ** 3,
  GB: 1000 ** 3,
  MiB: 1024 ** 2,
  MB: 1000 ** 2,
  KiB: 1024,
  KB: 1000,
} as const;
type Unit = keyof typeof UNITS;
const UNIT_NAMES = Object.keys(UNITS) as Unit[];
const AMOUNT = new RegExp(`^(\\d{1,16})(${UNIT_NAMES.join('|')})?$`, 'i');

/** An amount as an operator would write it: `64MiB`, `200GB`, `1234`. */
export function formatBytes(bytes: number): string {
  const unit = UNIT_NAMES.find((name) => bytes > 0 && bytes % UNITS[name] === 0);
  return unit ? `${bytes / UNITS[unit]}${unit}` : String(bytes);
}

/** A space as an operator would write it: `80%`, `200GB`. */
export function formatSpace(space: Space): string {
  return 'share' in space ? `${Math.round(space.share * 100)}%` : formatBytes(space.bytes);
}

function bytesOf(text: string): number {
  const [, digits, suffix] = AMOUNT.exec(text) ?? [];
  const unit = UNIT_NAMES.find((name) => name.toLowerCase() === suffix?.toLowerCase());
  return digits === undefined ? NaN : Number(digits) * (unit ? UNITS[unit] : 1);
}

/** Bytes, as `64MiB` (of 1024), `200GB` (of 1000) or a bare number, in any case. */
export function bytes(min: number, max: number): TextSchema<number> {
  return readBy((text) => {
    const value = bytesOf(text);
    if (value >= min && value <= max) return value;
    throw new Unreadable(
      'is not right; give bytes such as 64MiB, 1GB or 67108864, ' +
        `from ${formatBytes(min)} to ${formatBytes(max)}`,
    );
  });
}

/** Bytes, or whole percent within the bounds. */
export function space(percent: { min: number; max: number }, minBytes: number): TextSchema<Space> {
  return readBy((text) => {
    const share = /^(\d{1,3})%$/.exec(text)?.[1];
    if (share !== undefined && Number(share) >= percent.min && Number(share) <= percent.max)
      return { share: Number(share) / 100 };
    const value = bytesOf(text);
    if (value >= minBytes && Number.isSafeInteger(value)) return { bytes: value };
    throw new Unreadable(
      'is not right; give bytes such as 200GB, 50GiB or 53687091200, ' +
        `${minBytes === 0 ? '' : `${formatBytes(minBytes)} at least, `}or a share ` +
        `from ${percent.min}% to ${percent.max}%`,
    );
  });
}
