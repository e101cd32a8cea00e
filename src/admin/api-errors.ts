/** How refusals stand in the API's description. */
import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';

const errorDocument = z.object({
  errors: z.array(
    z.object({
      code: z.string().meta({ example: 'BODY_INVALID' }),
      message: z.string(),
      detail: z.unknown().optional(),
    }),
  ),
});

const MEANING = {
  400: 'The body is not what is asked for; its faults are in detail',
  401: 'Log in with HTTP Basic',
  403: 'Not an admin, or sent by a page of another site',
  404: 'There is no account of that name',
  409: 'It exists already, is the last admin, or cannot be changed here; the message says which',
  413: 'The body is too large',
  429: 'Too many requests or failed logins; Retry-After says when to come again',
} as const;

type Status = keyof typeof MEANING;

/** Describes these refusals of a route: by their status, or with words of the route's own. */
export function ApiErrors(...refusals: (Status | Partial<Record<Status, string>>)[]) {
  const told = refusals.flatMap((refusal) =>
    typeof refusal === 'number'
      ? [[refusal, MEANING[refusal]] as const]
      : Object.entries(refusal).map(([status, meaning]) => [Number(status), meaning] as const),
  );
  return applyDecorators(
    ...told.map(([status, description]) =>
      ApiResponse({ status, description, standardSchema: errorDocument }),
    ),
  );
}
