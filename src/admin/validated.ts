/** Checks a body against its schema, and names every fault of it at once. */
import { Body, StandardSchemaValidationPipe } from '@nestjs/common';
import type { z } from 'zod';
import { OciError } from '../oci/oci-error';

/** What is wrong where: `access.0.actions`, or an empty path for the body as a whole. */
export interface Fault {
  path: string;
  message: string;
}

/** More faults than this are of no more help. */
const MAX_FAULTS = 100;
/** A message may name an unknown field, which the client chose. */
const MAX_LENGTH = 200;

class FaultPipe extends StandardSchemaValidationPipe {
  constructor() {
    super({ exceptionFactory: (issues) => refusal(issues.slice(0, MAX_FAULTS).map(faultOf)) });
  }

  /** Nest would drop `__proto__` silently; here it is an unknown field like any other, and is refused by the schema. */
  protected override stripProtoKeys(): void {}
}

const pipe = new FaultPipe();

/**
 * The body, checked. @throws OciError BODY_INVALID with all faults in its detail. Schemas give their own messages, none
 * of which quotes a value: it may be a password.
 */
export function ValidBody(schema: z.ZodType): ParameterDecorator {
  return Body({ schema, pipes: [pipe] });
}

type Issue = Readonly<{
  message: string;
  path?: readonly (PropertyKey | { readonly key: PropertyKey })[];
}>;

function faultOf({ path = [], message }: Issue): Fault {
  const names = path.map((step) => String(typeof step === 'object' ? step.key : step));
  return { path: names.join('.').slice(0, MAX_LENGTH), message: message.slice(0, MAX_LENGTH) };
}

function refusal(faults: Fault[]): OciError {
  const named = faults
    .slice(0, 3)
    .map(({ path, message }) => (path ? `${path}: ${message}` : message));
  const more = faults.length > named.length ? `; and ${faults.length - named.length} more` : '';
  return new OciError('BODY_INVALID', {
    message: `the body is not what is asked for here: ${named.join('; ')}${more}`,
    detail: faults,
  });
}
