import fc from 'fast-check';
import { HtpasswdFault, HtpasswdFile } from './htpasswd-file';

const HASH = `$2y$05$${'a'.repeat(53)}`;
const ALPHABET = [...'./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'];

const hashes = fc
  .tuple(
    fc.constantFrom('a', 'b', 'y'),
    fc.integer({ min: 4, max: 14 }),
    fc.array(fc.constantFrom(...ALPHABET), { minLength: 53, maxLength: 53 }),
  )
  .map(([kind, cost, text]) => `$2${kind}$${String(cost).padStart(2, '0')}$${text.join('')}`);
const names = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 40 })
  .filter((name) => /^[^#:\s\p{C}\ufffd][^:\p{C}\ufffd]*$/u.test(name) && name.trim() === name)
  .filter((name) => !/[\u007f-\u009f]/.test(name));
const noise = fc.constantFrom('', '   ', '# a comment', '#ci:$apr1$x', '#');
const entries = fc.uniqueArray(fc.tuple(names, hashes), {
  selector: ([name]) => name,
  maxLength: 12,
});
const texts = fc
  .tuple(entries, fc.array(noise, { maxLength: 6 }), fc.infiniteStream(fc.nat()))
  .map(([lines, others, places]) => {
    const all = lines.map(([name, hash]) => `${name}:${hash}`);
    for (const other of others) all.splice(places.next().value % (all.length + 1), 0, other);
    return { text: all.map((line) => `${line}\n`).join(''), entries: new Map(lines) };
  });

describe('HtpasswdFile', () => {
  it('reads what is there, and writes it back letter for letter', () => {
    fc.assert(
      fc.property(texts, ({ text, entries: expected }) => {
        const file = HtpasswdFile.parse(text);

        expect(file.hashes).toEqual(expected);
        expect(file.format()).toBe(text);
      }),
    );
  });

  it('changes one account and nothing else', () => {
    fc.assert(
      fc.property(texts, names, hashes, ({ text, entries: expected }, name, hash) => {
        const file = HtpasswdFile.parse(text);
        const others = new Map(expected);
        others.delete(name);
        const kept = text.split('\n').filter((line) => !line.startsWith(`${name}:`));

        const changed = HtpasswdFile.parse(file.with(name, hash).format());
        const removed = HtpasswdFile.parse(file.without(name).format());

        expect(changed.hashes).toEqual(new Map([...expected, [name, hash]]));
        expect(removed.hashes).toEqual(others);
        expect(removed.format().split('\n')).toEqual(kept);
        expect(file.hashes).toEqual(expected);
      }),
    );
  });

  it('never throws anything but a fault that names a line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          HtpasswdFile.parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(HtpasswdFault);
          expect((error as Error).message).toMatch(/^line \d+: /);
        }
      }),
    );
  });

  it('takes a last line that does not end, and ends it', () => {
    expect(HtpasswdFile.parse(`ci:${HASH}`).format()).toBe(`ci:${HASH}\n`);
    expect(HtpasswdFile.parse('').format()).toBe('');
  });

  it.each([
    ['MD5', 'ci:$apr1$abc$def', /line 1: an MD5 hash/],
    ['SHA-1', 'ci:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', /SHA-1/],
    ['crypt', 'ci:rqXexS6ZhobKA', /not a bcrypt hash/],
    ['SHA-512 crypt', 'ci:$6$salt$hash', /SHA-2/],
    ['a password in clear', 'ci:hunter2', /not a bcrypt hash/],
    ['a cut hash', `ci:${HASH.slice(0, -1)}`, /malformed/],
    ['a third field', `ci:${HASH}:x`, /malformed/],
    ['a cost of 15', `ci:${HASH.replace('$05', '$15')}`, /cost 15 .* 14 is the most/],
    ['a cost of 3', `ci:${HASH.replace('$05', '$03')}`, /cost 3/],
    ['no colon', 'ci', /no colon/],
    ['no name', `:${HASH}`, /name is empty/],
    ['a name that ends in a space', `ci :${HASH}`, /space/],
    ['a control character', `c\u0007i:${HASH}`, /control character/],
    ['a byte order mark', `\ufeffci:${HASH}`, /control character/],
    ['what is not UTF-8', `c\ufffdi:${HASH}`, /UTF-8/],
    ['Windows line ends', `ci:${HASH}\r`, /Unix line ends/],
    ['a line without end', `ci:${'x'.repeat(2000)}`, /longer than/],
  ])('refuses %s, and says how to mend it without saying the hash', (_, line, message) => {
    const parse = () => HtpasswdFile.parse(`# first\n${line}\n`);

    expect(parse).toThrow(HtpasswdFault);
    expect(parse).toThrow(new RegExp(message.source.replace('line 1', 'line 2')));
    expect(parse).toThrow(/^line 2: .*(htpasswd -B|Unix line ends)/);
    expect(parse).not.toThrow(/hunter2|aaaaaaa/);
  });

  it('names both lines of an account that is there twice', () => {
    const text = `ci:${HASH}\n\nother:${HASH}\nci:${HASH}\n`;

    expect(() => HtpasswdFile.parse(text)).toThrow(/^line 4: the account of line 1 once more/);
  });
});
