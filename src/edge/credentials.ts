/** The Authorization header, read once. RFC 7617 (Basic), RFC 6750 (Bearer). */

/** What a client shows. Never logged: only `username` may leave this type. */
export type Credentials =
  | { readonly scheme: 'none' }
  | { readonly scheme: 'basic'; readonly username: string; readonly password: string }
  | { readonly scheme: 'bearer'; readonly token: string }
  /** A scheme that is not known here, or a header that is malformed. */
  | { readonly scheme: 'unreadable' };

const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/** Reads an Authorization header; user name and password are UTF-8, the first colon parts them. */
export function readCredentials(header: string | undefined): Credentials {
  if (header === undefined) return { scheme: 'none' };
  const bearer = BEARER.exec(header);
  if (bearer?.[1]) return { scheme: 'bearer', token: bearer[1] };
  const basic = BASIC.exec(header);
  if (!basic?.[1]) return { scheme: 'unreadable' };
  const text = Buffer.from(basic[1], 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return { scheme: 'unreadable' };
  return { scheme: 'basic', username: text.slice(0, colon), password: text.slice(colon + 1) };
}
