/** An upstream's refusal, as the gate passes it on. */
import { z } from 'zod';
import { isOciErrorCode, OCI_ERRORS, OciError, type OciErrorCode } from '../oci/oci-error';
import { readBody, type UpstreamResponse } from './upstream.client';

const Refusal = z.object({
  errors: z.array(z.object({ code: z.string(), message: z.string().optional() })).min(1),
});
const MAX_REFUSAL = 64 * 1024;
const MAX_MESSAGE = 300;

const BY_STATUS: Readonly<Record<number, OciErrorCode>> = {
  400: 'MANIFEST_INVALID',
  404: 'NAME_UNKNOWN',
  405: 'UNSUPPORTED',
  413: 'BODY_TOO_LARGE',
  416: 'RANGE_INVALID',
};

/**
 * What an answer that is no success says, read within bounds. Its code is passed on where it is one of the table's and
 * agrees with its status; its message is cut, and kept to printable characters. Anything odd is BAD_UPSTREAM.
 * @param notFound what a 404 means for the noun that was asked.
 */
export async function refusalOf(
  response: UpstreamResponse,
  notFound: OciErrorCode,
): Promise<OciError> {
  const said = await readRefusal(response);
  const usual = response.status === 404 ? notFound : BY_STATUS[response.status];
  if (usual === undefined) {
    return new OciError('BAD_UPSTREAM', {
      message: `the upstream registry answered ${response.status}, which cannot be passed on`,
    });
  }
  const code =
    isOciErrorCode(said?.code) && OCI_ERRORS[said.code][0] === OCI_ERRORS[usual][0]
      ? said.code
      : usual;
  return new OciError(code, { message: said?.message });
}

async function readRefusal(
  response: UpstreamResponse,
): Promise<{ code: string; message?: string } | undefined> {
  try {
    const body: unknown = JSON.parse((await readBody(response, MAX_REFUSAL)).toString('utf8'));
    const { errors } = Refusal.parse(body);
    return errors[0] && { code: errors[0].code, message: printable(errors[0].message) };
  } catch {
    return undefined;
  }
}

function printable(text: string | undefined): string | undefined {
  const clean = text
    ?.replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, MAX_MESSAGE)
    .trim();
  return clean === '' ? undefined : clean;
}
