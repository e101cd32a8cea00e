/**
 * Jest's runtime for mutation tests: a run for each mutant, a thousand times over. What is no code of ours is loaded once a
 * process, not once a run, where reading it again would be nearly all of the work.
 */
require('reflect-metadata');
const { createRequire } = require('node:module');
// Jest's own, of the version that it brings along.
const { default: Runtime } = createRequire(require.resolve('jest/package.json'))('jest-runtime');

const LIBRARIES =
  /^(?:@nestjs\/(?:common|core|jwt)|fast-check|ipaddr\.js|lru-cache|pino|rxjs|tldts|undici|yaml|zod)$/;

module.exports = class MutationRuntime extends Runtime {
  constructor(config, environment, ...rest) {
    super(config, environment, ...rest);
    // Decorators of our code, and Nest's own, keep what they know in the same place.
    const inner = environment.global.Reflect;
    for (const name of Object.getOwnPropertyNames(Reflect)) inner[name] ??= Reflect[name];
  }

  requireModuleOrMock(from, name) {
    return LIBRARIES.test(name) ? require(name) : super.requireModuleOrMock(from, name);
  }
};
