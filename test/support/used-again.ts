import type { BodySource } from '../../src/upstream/body-source';

/** The body, whose chunks hold no longer than they must: each is written over as soon as the next one is asked for. */
export function usedAgain(body: BodySource): BodySource {
  let given: Buffer | undefined;
  const next = async () => {
    given?.fill('used again');
    given = await body.next();
    return given;
  };
  return {
    next,
    destroy: () => body.destroy(),
    async *[Symbol.asyncIterator]() {
      try {
        for (let bytes = await next(); bytes; bytes = await next()) yield bytes;
      } finally {
        body.destroy();
      }
    },
  };
}
