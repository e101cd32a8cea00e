/** The `Link` to a listing's next page, written and read. RFC 8288 § 3; distribution-spec 1.1 § Listing tags. */

const MAX_LINK = 16 * 1024;
const LINK = /<([^<>\s]{1,4096})>([^<>]*)/g;
const NEXT = /;\s*rel\s*=\s*"?next\b/i;

/**
 * The link at the gate's own address.
 * @param address relative, with its query.
 */
export function linkTo(address: string): string {
  return `<${address}>; rel="next"`;
}

/** The target of the link that leads to the next page, among several. */
export function nextIn(header: string): string | undefined {
  for (const [, target, params = ''] of header.slice(0, MAX_LINK).matchAll(LINK)) {
    if (NEXT.test(params)) return target;
  }
  return undefined;
}
