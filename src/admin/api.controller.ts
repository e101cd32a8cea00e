/** /admin/api: the description of the interface, and a page to read it with. For admins, like all of /admin. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { Controller, Get, Header, Param, StreamableFile, UseGuards } from '@nestjs/common';
import { ApiExcludeController, type OpenAPIObject } from '@nestjs/swagger';
import { OciError } from '../oci/oci-error';
import { ApiDocument } from './api-document';
import { BrowserGuard } from './browser.guard';
import { AnyOtherMethod, methodNotAllowed } from './method-not-allowed';

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Tidegate API</title>
<link rel="icon" type="image/png" href="/admin/api/favicon-32x32.png">
<link rel="stylesheet" href="/admin/api/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="/admin/api/swagger-ui-bundle.js"></script>
<script src="/admin/api/start.js"></script>
</body>
</html>
`;

/** By the origin: a relative URL takes over the login that the page's address was typed with, and fetch refuses it. */
const START = `SwaggerUIBundle({
  url: location.origin + '/admin/api/openapi.json',
  dom_id: '#page',
  validatorUrl: null,
});
`;

/** Nothing from elsewhere, nothing sent elsewhere, no frame. The page sets styles of its own while it runs. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** All that is served of swagger-ui-dist: its folder holds source maps and pages that are nobody's business here. */
const ASSETS = new Map([
  ['swagger-ui.css', 'text/css; charset=utf-8'],
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  ['favicon-32x32.png', 'image/png'],
]);

@Controller('admin/api')
@UseGuards(BrowserGuard)
@ApiExcludeController()
export class ApiController {
  constructor(private readonly document: ApiDocument) {}

  @Get()
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Content-Security-Policy', POLICY)
  page(): string {
    return PAGE;
  }

  @Get('openapi.json')
  openapi(): OpenAPIObject {
    const document = this.document.get();
    if (!document) throw new OciError('NOT_FOUND');
    return document;
  }

  @Get('start.js')
  @Header('Content-Type', 'text/javascript; charset=utf-8')
  start(): string {
    return START;
  }

  @Get(':asset')
  async asset(@Param('asset') name: string): Promise<StreamableFile> {
    const type = ASSETS.get(name);
    if (!type) throw new OciError('NOT_FOUND');
    return new StreamableFile(await readFile(assetPath(name)), { type });
  }

  @AnyOtherMethod()
  otherOfPage(): never {
    throw methodNotAllowed('GET, HEAD');
  }

  @AnyOtherMethod(':asset')
  otherOfAsset(@Param('asset') name: string): never {
    const known = ASSETS.has(name) || name === 'openapi.json' || name === 'start.js';
    throw known ? methodNotAllowed('GET, HEAD') : new OciError('NOT_FOUND');
  }
}

/** swagger-ui-dist is a dependency of @nestjs/swagger, and is found from there. */
function assetPath(name: string): string {
  return createRequire(require.resolve('@nestjs/swagger')).resolve(`swagger-ui-dist/${name}`);
}
