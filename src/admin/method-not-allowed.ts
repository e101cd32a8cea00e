import { applyDecorators, All } from '@nestjs/common';
import { ApiExcludeEndpoint } from '@nestjs/swagger';
import { OciError } from '../oci/oci-error';

/**
 * Stands last in a controller, on the same path as its routes: what none of them took has a method that this address
 * does not know. The guards stand before it, so that a stranger learns nothing.
 */
export function AnyOtherMethod(path = '') {
  return applyDecorators(All(path), ApiExcludeEndpoint());
}

/** @param allowed the methods of this address, as `Allow` lists them; RFC 9110 §10.2.1. */
export function methodNotAllowed(allowed: string): OciError {
  return new OciError('UNSUPPORTED', {
    message: `this address takes ${allowed} alone`,
    headers: { Allow: allowed },
  });
}
