/**
 * What was secret in a spec: no gate of it may have said any of that, at whatever level it logs. Helpers note the
 * secrets that they make or are given, so that no spec has to ask for the search.
 */
const secrets = new Map<string, string>();

/** Too short to be told from words that anybody may use. */
const SHORTEST = 10;

export function keepSecret(what: string, secret: string | undefined): void {
  if (secret !== undefined && secret.length >= SHORTEST) secrets.set(secret, what);
}

/** Settings that hold one. */
export function keepSecretsOf(env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(env))
    if (/PASSWORD$|SECRET$|^ACCOUNTS$/.test(name)) keepSecret(name, value);
}

/** @throws where one of them is found. */
export function expectNoSecretIn(output: string): void {
  const found = [...secrets].filter(([secret]) =>
    formsOf(secret).some((form) => output.includes(form)),
  );
  if (found.length > 0)
    throw new Error(`S31: in the output of a gate: ${found.map(([, what]) => what).join(', ')}`);
}

/** As it is, in a URL, and within base64, where what stands before it moves it by up to two bytes. */
function formsOf(secret: string): string[] {
  const base64 = ['', 'x', 'xx'].map((before) =>
    // Without the ends, which its neighbours change.
    Buffer.from(before + secret)
      .toString('base64')
      .replace(/=+$/, '')
      .slice(4, -2),
  );
  return [secret, encodeURIComponent(secret), ...base64];
}

/** Gates of the hostile specs log all that they can, as S31 has it. */
export function talkative(): { LOG_LEVEL?: string } {
  return expect.getState().testPath?.includes('/test/hostile/') ? { LOG_LEVEL: 'debug' } : {};
}
