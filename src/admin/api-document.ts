/** The description of the gate's own interface, in OpenAPI 3. */
import { Injectable, type INestApplication, type Type } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';

/**
 * Holds the document for the controller that serves it. SwaggerModule.setup is not used: it serves the document on
 * routes of its own, that no guard sees.
 */
@Injectable()
export class ApiDocument {
  #describe: (() => OpenAPIObject) | undefined;
  #document: OpenAPIObject | undefined;

  get(): OpenAPIObject | undefined {
    return (this.#document ??= this.#describe?.());
  }

  /** @param describe is called when somebody asks for the document: most gates are never asked. */
  set(describe: () => OpenAPIObject): void {
    this.#describe = describe;
  }
}

/**
 * Describes the routes of the modules, and the token endpoint. To be called once, when all controllers are known.
 * @param version of the gate.
 * @param modules whose routes are what clients see: the rooms behind `/v2` are reached by inner ones, and are described
 *   by the distribution specification.
 */
export function describeApi(app: INestApplication, version: string, modules: Type[]): void {
  app.get(ApiDocument, { strict: false }).set(() => documentOf(app, version, modules));
}

function documentOf(app: INestApplication, version: string, modules: Type[]): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Tidegate')
    .setDescription(
      'Accounts, tokens, held content and health of the gate. What is below /v2 is the OCI distribution specification 1.1.',
    )
    .setVersion(version)
    .addBasicAuth()
    .build();
  const document = SwaggerModule.createDocument(app, config, { include: modules });
  return { ...document, paths: { ...document.paths, '/token': tokenEndpoint } };
}

const text = { type: 'string' };

const tokenAnswer = {
  description:
    'A token of the access that was asked for and is held. A scope beyond that is no error.',
  content: {
    'application/json': {
      schema: {
        type: 'object',
        required: ['access_token', 'expires_in', 'issued_at'],
        properties: {
          token: { ...text, description: 'The same as access_token; in answers to GET' },
          access_token: text,
          expires_in: { type: 'integer', description: 'Seconds' },
          issued_at: { ...text, format: 'date-time' },
          refresh_token: text,
          scope: { ...text, description: 'What was granted; in answers to POST' },
        },
      },
    },
  },
};

const responses = {
  200: tokenAnswer,
  401: { description: 'Wrong credentials' },
  429: { description: 'Too many failed logins; Retry-After says when to come again' },
};

const tags = ['token'];

/** Written by hand: the token service stands behind two addresses, `/v2/auth` too, and on an inner route. */
const tokenEndpoint: OpenAPIObject['paths'][string] = {
  get: {
    tags,
    operationId: 'token',
    summary: 'A token, as docker asks for it; the same at /v2/auth',
    security: [{ basic: [] }],
    parameters: [
      { name: 'service', in: 'query', schema: text },
      {
        name: 'scope',
        in: 'query',
        description: 'repository:<name>:pull,push; repeated or separated by spaces',
        schema: text,
      },
      {
        name: 'offline_token',
        in: 'query',
        description: 'true asks for a refresh token',
        schema: text,
      },
    ],
    responses,
  },
  post: {
    tags,
    operationId: 'tokenByForm',
    summary: 'A token by OAuth2, as containerd asks for it; the same at /v2/auth',
    requestBody: {
      required: true,
      content: {
        'application/x-www-form-urlencoded': {
          schema: {
            type: 'object',
            required: ['grant_type'],
            properties: {
              grant_type: { ...text, enum: ['password', 'refresh_token'] },
              username: text,
              password: { ...text, format: 'password' },
              refresh_token: text,
              service: text,
              scope: text,
              access_type: { ...text, enum: ['online', 'offline'] },
            },
          },
        },
      },
    },
    responses,
  },
};
