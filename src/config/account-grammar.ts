/** How user names, passwords and rights are written, whoever writes them: settings, REST, the command line. */

/** The colon ends a user name in Basic authentication and in htpasswd files; RFC 7617 §2. */
export const USERNAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/;
export const USERNAME_RULE = 'a letter or digit, then at most 63 letters, digits and . _ @ + -';

/** No user name and no password may hold one; RFC 7617 §2. */
// oxlint-disable-next-line no-control-regex
export const CONTROL = /[\x00-\x1f\x7f]/;

/** bcrypt reads no further than this many bytes: a longer password would match by its beginning alone. */
const MAX_PASSWORD_BYTES = 72;
export const PASSWORD_RULE = `1 to ${MAX_PASSWORD_BYTES} bytes in UTF-8, without control characters`;

/** Why a text cannot be a password of ours, or undefined. The reason never holds the text. */
export function passwordFault(password: string): string | undefined {
  if (password === '') return 'it is empty';
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    return `it is longer than ${MAX_PASSWORD_BYTES} bytes, of which bcrypt would look at no more`;
  }
  // bcrypt would end at a NUL.
  if (CONTROL.test(password)) return 'it holds a control character';
  return password.isWellFormed() ? undefined : 'it is not well-formed Unicode';
}

/** A glob over canonical names: a registry, which may be `[::1]:5000`, and up to 255 characters of repository. */
export const REPOSITORY_GLOB = /^(?=.{1,512}$)[a-z0-9._*:[\]-]+(?:\/[a-z0-9._*:[\]-]+)*$/;
export const REPOSITORY_GLOB_RULE =
  'a name such as docker.io/library/nginx or team/**, at most 512 of a-z 0-9 . _ / * : - [ ] ' +
  '(* stands for anything within a segment, ** across segments)';
