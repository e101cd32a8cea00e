/**
 * The one table of errors that leave the gate, and the one encoder. Every answer that is not a success has this shape,
 * on `/v2`, the token endpoint, `/admin` and elsewhere: `{"errors":[{"code","message","detail"}]}`.
 * Distribution-spec 1.1 § Error codes; CNCF distribution, registry/api/errcode.
 */
import type { OutgoingHttpHeaders } from 'node:http';

const TABLE = {
  // 400
  DIGEST_INVALID: [400, 'provided digest did not match uploaded content, or is malformed'],
  SIZE_INVALID: [400, 'provided length did not match content length'],
  NAME_INVALID: [400, 'invalid repository name'],
  TAG_INVALID: [400, 'manifest tag did not match URI, or is malformed'],
  MANIFEST_INVALID: [400, 'manifest invalid'],
  MANIFEST_BLOB_UNKNOWN: [400, 'blob unknown to registry'],
  MANIFEST_UNVERIFIED: [400, 'manifest failed signature verification'],
  PAGINATION_NUMBER_INVALID: [400, 'invalid number of results requested'],
  REQUEST_INVALID: [400, 'the request is malformed'],
  BODY_INVALID: [400, 'the body is not what is asked for here'],
  // 401, 403
  UNAUTHORIZED: [401, 'authentication required'],
  DENIED: [403, 'requested access to the resource is denied'],
  // 404
  NAME_UNKNOWN: [404, 'repository name not known to registry'],
  MANIFEST_UNKNOWN: [404, 'manifest unknown'],
  BLOB_UNKNOWN: [404, 'blob unknown to registry'],
  BLOB_UPLOAD_UNKNOWN: [404, 'blob upload unknown to registry'],
  BLOB_UPLOAD_INVALID: [404, 'blob upload invalid'],
  NOT_FOUND: [404, 'there is nothing at this address'],
  USER_UNKNOWN: [404, 'there is no account of that name'],
  // 405 and up
  UNSUPPORTED: [405, 'the operation is unsupported'],
  CONFLICT: [409, 'the request conflicts with what is there'],
  BODY_TOO_LARGE: [413, 'the body is too large'],
  RANGE_INVALID: [416, 'invalid content range'],
  TOOMANYREQUESTS: [429, 'too many requests'],
  UNKNOWN: [500, 'unknown error'],
  BAD_UPSTREAM: [502, 'the upstream registry gave an answer that cannot be used'],
  UNAVAILABLE: [503, 'service unavailable'],
  UPSTREAM_TIMEOUT: [504, 'the upstream registry did not answer in time'],
} as const satisfies Record<string, readonly [status: number, message: string]>;

export type OciErrorCode = keyof typeof TABLE;

/** All codes with their status and standard message; docs/errors.md explains each. */
export const OCI_ERRORS: Readonly<
  Record<OciErrorCode, readonly [status: number, message: string]>
> = TABLE;

/** What an error may say beyond its code. None of it may hold a secret: it is sent to the client and logged. */
export interface OciErrorOptions {
  message?: string;
  detail?: unknown;
  /** What the document says beside its errors, for clients that know another form of it. */
  members?: Readonly<Record<string, unknown>>;
  /** Extra headers of the answer: a challenge, `Retry-After` (seconds), `Allow`. */
  headers?: OutgoingHttpHeaders;
  /** Why, for the log alone. */
  cause?: unknown;
}

/** A refusal that the client may read. Whatever else is thrown is answered as UNKNOWN and logged with the request's id. */
export class OciError extends Error {
  readonly code: OciErrorCode;
  readonly status: number;
  readonly detail: unknown;
  readonly members: Readonly<Record<string, unknown>> | undefined;
  readonly headers: OutgoingHttpHeaders;

  constructor(
    code: OciErrorCode,
    { message, detail, members, headers, cause }: OciErrorOptions = {},
  ) {
    super(message ?? TABLE[code][1], { cause });
    this.name = 'OciError';
    this.code = code;
    this.status = TABLE[code][0];
    this.detail = detail;
    this.members = members;
    this.headers = headers ?? {};
  }

  /** The document that is sent. */
  toJSON(): { errors: [{ code: string; message: string; detail?: unknown }] } {
    const detail = this.detail === undefined ? {} : { detail: this.detail };
    // Towards a client these two are UNAVAILABLE, which it knows; the status tells them apart, and the log their code.
    const code =
      this.code === 'UPSTREAM_TIMEOUT' || this.code === 'BAD_UPSTREAM' ? 'UNAVAILABLE' : this.code;
    return { ...this.members, errors: [{ code, message: this.message, ...detail }] };
  }
}

/** True when a text is a code of the table: an upstream's own code is passed on only then. */
export function isOciErrorCode(text: unknown): text is OciErrorCode {
  return typeof text === 'string' && Object.hasOwn(TABLE, text);
}
