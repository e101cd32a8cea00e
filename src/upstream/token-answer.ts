/** What a token endpoint answers. CNCF distribution, docs/spec/auth/token § Token Response Fields. */
import { z } from 'zod';

/** A token that may stand in a header: visible ASCII, and no longer than servers take headers to be. */
const TOKEN = z
  .string()
  .max(32 * 1024)
  .regex(/^[\x21-\x7e]+$/);

const ANSWER = z.object({
  token: z.string().nullish(),
  access_token: z.string().nullish(),
  expires_in: z.unknown().optional(),
  refresh_token: z.unknown().optional(),
});

const DEFAULT_LIFE = 60;
const MAX_LIFE = 24 * 60 * 60;

export interface IssuedToken {
  readonly token: string;
  /** Seconds; 60 when the endpoint does not say. */
  readonly life: number;
  /** Where one was asked for, and given. */
  readonly refreshToken?: string;
}

/** The token in the answer, or undefined when there is none that can be used. */
export function parseTokenAnswer(bytes: Buffer): IssuedToken | undefined {
  const answer = ANSWER.safeParse(jsonOf(bytes)).data;
  const token = TOKEN.safeParse(answer?.token || answer?.access_token).data;
  if (token === undefined) return undefined;
  const refreshToken = TOKEN.safeParse(answer?.refresh_token).data;
  const life = lifeOf(answer?.expires_in);
  return refreshToken === undefined ? { token, life } : { token, life, refreshToken };
}

/** Some endpoints write the number as text. */
function lifeOf(said: unknown): number {
  const seconds = typeof said === 'number' || typeof said === 'string' ? Number(said) : NaN;
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, MAX_LIFE) : DEFAULT_LIFE;
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
