import fc from 'fast-check';
import { formatBasicChallenge, formatBearerChallenge, parseChallenges } from './challenge';

/** What HTTP lets stand in a header's value. */
const printable = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
});
const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
const blanks = fc.constantFrom('', ' ', '\t', '   ');

describe('formatBearerChallenge', () => {
  it('quotes every value and keeps the order that clients are used to', () => {
    expect(
      formatBearerChallenge({
        realm: 'https://gate.example/v2/auth',
        service: 'tidegate',
        scope: 'repository:team/app:pull,push',
        error: 'insufficient_scope',
      }),
    ).toBe(
      'Bearer realm="https://gate.example/v2/auth",service="tidegate",scope="repository:team/app:pull,push",error="insufficient_scope"',
    );
  });

  it('leaves out what is not asked for', () => {
    expect(
      formatBearerChallenge({
        realm: 'https://gate.example/v2/auth',
        service: 'tidegate',
        scope: '',
      }),
    ).toBe('Bearer realm="https://gate.example/v2/auth",service="tidegate"');
  });

  it('is read back as it was meant, whatever the values hold', () => {
    fc.assert(
      fc.property(printable, printable, printable, (realm, service, scope) => {
        const [challenge, ...more] = parseChallenges(
          formatBearerChallenge({ realm, service, scope }),
        );

        expect(more).toEqual([]);
        expect(challenge?.scheme).toBe('bearer');
        const given = Object.entries({ realm, service, scope }).filter(([, value]) => value !== '');
        expect({ ...challenge?.params }).toEqual(Object.fromEntries(given));
      }),
    );
  });
});

describe('parseChallenges', () => {
  it.each([
    [
      'Docker Hub',
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"',
      'bearer',
      {
        realm: 'https://auth.docker.io/token',
        service: 'registry.docker.io',
        scope: 'repository:library/nginx:pull',
      },
    ],
    [
      'ghcr.io',
      'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull"',
      'bearer',
      { realm: 'https://ghcr.io/token', service: 'ghcr.io', scope: 'repository:user/image:pull' },
    ],
    [
      'quay.io',
      'Bearer realm="https://quay.io/v2/auth",service="quay.io",scope="repository:org/app:pull,push"',
      'bearer',
      {
        realm: 'https://quay.io/v2/auth',
        service: 'quay.io',
        scope: 'repository:org/app:pull,push',
      },
    ],
    [
      'Amazon ECR',
      'Basic realm="https://123456789012.dkr.ecr.eu-central-1.amazonaws.com/",service="ecr.amazonaws.com"',
      'basic',
      {
        realm: 'https://123456789012.dkr.ecr.eu-central-1.amazonaws.com/',
        service: 'ecr.amazonaws.com',
      },
    ],
    [
      'CNCF distribution with htpasswd',
      'Basic realm="Registry Realm"',
      'basic',
      { realm: 'Registry Realm' },
    ],
  ])('reads the challenge of %s', (_registry, header, scheme, params) => {
    const challenges = parseChallenges(header);

    expect(challenges).toHaveLength(1);
    expect(challenges[0]?.scheme).toBe(scheme);
    expect({ ...challenges[0]?.params }).toEqual(params);
  });

  it.each<[string, string, [string, Record<string, string>][]]>([
    ['nothing', '', []],
    ['commas and blanks alone', ' ,\t, ', []],
    ['a scheme alone', 'Negotiate', [['negotiate', {}]]],
    ['a token68', 'Negotiate YII/+ab==', [['negotiate', {}]]],
    ['a token68 that could be a name', 'NTLM abc=', [['ntlm', {}]]],
    [
      'parameters without quotes',
      'Bearer realm=gate, service=x',
      [['bearer', { realm: 'gate', service: 'x' }]],
    ],
    ['an empty quoted value', 'Basic realm=""', [['basic', { realm: '' }]]],
    [
      'blanks around the equals sign',
      'Basic realm = "a" , charset\t=utf-8',
      [['basic', { realm: 'a', charset: 'utf-8' }]],
    ],
    [
      'escapes',
      String.raw`Basic realm="say \"hi\" \\ \a"`,
      [['basic', { realm: 'say "hi" \\ a' }]],
    ],
    [
      'commas and equals signs in quotes',
      'Basic realm="a, Bearer realm=b"',
      [['basic', { realm: 'a, Bearer realm=b' }]],
    ],
    [
      'names and schemes in any case',
      'BEARER Realm="a",SERVICE="b"',
      [['bearer', { realm: 'a', service: 'b' }]],
    ],
    [
      'empty list elements',
      ', ,Basic realm="a",, ,charset="b",',
      [['basic', { realm: 'a', charset: 'b' }]],
    ],
    [
      'several challenges',
      'Negotiate YII=, Basic realm="a", charset="UTF-8", NTLM, Bearer realm="b",service="c"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a', charset: 'UTF-8' }],
        ['ntlm', {}],
        ['bearer', { realm: 'b', service: 'c' }],
      ],
    ],
    ['the first of two equal names', 'Bearer realm="a",Realm="b"', [['bearer', { realm: 'a' }]]],
  ])('reads %s', (_what, header, expected) => {
    expect(parseChallenges(header).map(({ scheme, params }) => [scheme, { ...params }])).toEqual(
      expected,
    );
  });

  it.each<[string, string, [string, Record<string, string>][]]>([
    ['a parameter without a scheme', 'realm="a"', []],
    ['a missing comma', 'Bearer realm="a" service="b"', [['bearer', { realm: 'a' }]]],
    ['a quote that never closes', 'Bearer service="s",realm="a', [['bearer', { service: 's' }]]],
    [
      'a quote that closes with an escape',
      String.raw`Bearer service="s",realm="a\"`,
      [['bearer', { service: 's' }]],
    ],
    [
      'characters that no token holds',
      'Bearer service="s", {realm}="a"',
      [['bearer', { service: 's' }]],
    ],
    [
      'a name without a value',
      'Bearer service="s",realm=,scope="x"',
      [['bearer', { service: 's' }]],
    ],
  ])('stops at %s, and keeps what stood before', (_what, header, expected) => {
    expect(parseChallenges(header).map(({ scheme, params }) => [scheme, { ...params }])).toEqual(
      expected,
    );
  });

  it('takes __proto__ and constructor for ordinary names', () => {
    const [challenge] = parseChallenges('Bearer __proto__="a",constructor="b"');

    expect(Object.entries(challenge?.params ?? {})).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });

  it('reads 8 KiB and not one character more', () => {
    const padded = (length: number) =>
      `Basic realm="${'a'.repeat(length - 'Basic realm=""'.length)}"`;

    expect(parseChallenges(padded(8 * 1024))).toHaveLength(1);
    expect(parseChallenges(padded(8 * 1024 + 1))).toEqual([]);
  });

  it('reads back any list of challenges, with blanks and quotes as they may come', () => {
    const param = fc.tuple(token, fc.oneof(token, printable), fc.boolean(), blanks, blanks);
    const challenge = fc.tuple(
      token,
      fc.uniqueArray(param, { selector: ([name]) => name.toLowerCase(), maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(challenge, { maxLength: 4 }), (list) => {
        const header = list
          .map(([scheme, params]) => {
            const texts = params.map(([name, value, plain, before, after]) => {
              const bare = plain && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value);
              return `${name}${before}=${after}${bare ? value : `"${value.replace(/["\\]/g, '\\$&')}"`}`;
            });
            return texts.length === 0 ? scheme : `${scheme} ${texts.join(', ')}`;
          })
          .join(' , ');

        expect(
          parseChallenges(header).map(({ scheme, params }) => [scheme, { ...params }]),
        ).toEqual(
          list.map(([scheme, params]) => [
            scheme.toLowerCase(),
            Object.fromEntries(params.map(([name, value]) => [name.toLowerCase(), value])),
          ]),
        );
      }),
    );
  });

  it.each([
    ['letters', 'a'],
    ['blanks', ' '],
    ['names without values', 'a='],
    ['words', 'a '],
    ['commas', ' ,'],
    ['escapes in a quote that never closes', '\\\\"'],
    ['quotes', '"'],
    ['whole challenges', 'A b="c",'],
  ])('S35: comes to an end on 8 KiB of %s', (_what, text) => {
    for (const start of ['', 'Bearer ', 'Bearer a="']) {
      expect(
        Array.isArray(parseChallenges((start + text.repeat(8 * 1024)).slice(0, 8 * 1024))),
      ).toBe(true);
    }
  });

  it('never throws, and never makes more of a header than stands in it', () => {
    const hostile = fc.array(
      fc.constantFrom(
        '"',
        '\\',
        '=',
        ',',
        ' ',
        '\t',
        'Bearer',
        'realm',
        'a',
        '\u0000',
        '\n',
        'é',
        '==',
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          hostile.map((parts) => parts.join('')),
        ),
        (header) => {
          const challenges = parseChallenges(header);

          const read = challenges
            .map(({ scheme, params }) => scheme + Object.entries(params).flat().join(''))
            .join('');
          expect(read.length).toBeLessThanOrEqual(header.length);
        },
      ),
    );
  });
});

describe('formatBasicChallenge', () => {
  it('quotes the realm, and says that logins are UTF-8', () => {
    expect(formatBasicChallenge('a "b" \\')).toBe('Basic realm="a \\"b\\" \\\\", charset="UTF-8"');
  });
});

describe('a scheme that is not spoken here', () => {
  it.each(['YII', 'YII=', 'YII==', 'a/b+c._~-=='])('is passed over, with its %s', (token68) => {
    const both = [
      { scheme: 'negotiate', params: {} },
      { scheme: 'bearer', params: { realm: 'x' } },
    ];

    expect(parseChallenges(`Negotiate ${token68}, Bearer   realm="x"`)).toMatchObject(both);
    expect(parseChallenges(`Negotiate \t ${token68} ,\tBearer \trealm="x"`)).toMatchObject(both);
  });
});
