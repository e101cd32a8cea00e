import { OciError } from '../../oci/oci-error';
import type { Body } from './body';

/**
 * A part that reaches the end of held content which is still being verified: its last byte waits for that.
 * @param first all of the part but its last byte; undefined where that is all there is.
 * @param last its last byte.
 * @param sound resolves to whether the content is what its digest says; it does not reject.
 */
export function withheldBody(first: Body | undefined, last: Body, sound: Promise<boolean>): Body {
  return {
    length: (first?.length ?? 0) + 1,
    async sendTo(sink) {
      try {
        await first?.sendTo(sink);
        if (!(await sound))
          throw new OciError('UNKNOWN', { message: 'what is held of this content is damaged' });
      } catch (error) {
        last.close();
        throw error;
      }
      await last.sendTo(sink);
    },
    close() {
      first?.close();
      last.close();
    },
  };
}
