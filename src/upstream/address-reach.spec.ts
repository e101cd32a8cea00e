import fc from 'fast-check';
import { type AddressClass, classOfAddress, classOfHost, within } from './address-reach';

const octet = fc.integer({ min: 0, max: 255 });
const ipv4 = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join('.'));

/** Every IPv6 spelling that hides an IPv4 address and may lead to it. */
const disguises: ReadonlyArray<(high: string, low: string) => string> = [
  (high, low) => `::ffff:${high}:${low}`,
  (high, low) => `::${high}:${low}`,
  (high, low) => `64:ff9b::${high}:${low}`,
  (high, low) => `2002:${high}:${low}::1`,
];

function halves(address: string): [string, string] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return [(a * 256 + b).toString(16), (c * 256 + d).toString(16)];
}

describe('classOfAddress', () => {
  it.each<[string, AddressClass | undefined]>([
    ['8.8.8.8', 'public'],
    ['2606:4700::1111', 'public'],
    ['10.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['192.168.1.1', 'private'],
    ['100.100.100.200', 'private'],
    ['fd00:ec2::254', 'private'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['::1', 'loopback'],
    ['[::1]', 'loopback'],
    ['0.0.0.0', 'never'],
    ['::', 'never'],
    ['169.254.169.254', 'never'],
    ['168.63.129.16', 'never'],
    ['fe80::1', 'never'],
    ['fe80::1%eth0', 'never'],
    ['224.0.0.1', 'never'],
    ['240.0.0.1', 'never'],
    ['255.255.255.255', 'never'],
    ['198.18.0.1', 'never'],
    ['192.0.2.1', 'never'],
    ['2001:db8::1', 'never'],
    ['2001:0:7f00:1::', 'never'],
    ['64:ff9b:1::7f00:1', 'never'],
    ['::ffff:0:7f00:1', 'never'],
    ['4000::1', 'never'],
    ['registry.example', undefined],
    ['127.1', undefined],
    ['', undefined],
  ])('takes %s to be %s', (address, expected) => {
    expect(classOfAddress(address)).toBe(expected);
  });

  it('takes an IPv4 address in IPv6 clothes for what it wraps', () => {
    fc.assert(
      fc.property(ipv4, fc.constantFrom(...disguises), (address, disguise) => {
        const dressed = disguise(...halves(address));
        fc.pre(dressed !== '::0:1' && dressed !== '::0:0');

        expect(classOfAddress(dressed)).toBe(classOfAddress(address));
      }),
    );
  });

  it('calls no address of the special-purpose blocks public', () => {
    const blocks = [
      '0',
      '10',
      '127',
      '169.254',
      '172.16',
      '172.31',
      '192.168',
      '100.64',
      '100.127',
      '198.18',
      '198.19',
      '224',
      '240',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...blocks), ipv4, (block, filler) => {
        const fixed = block.split('.');
        const address = [...fixed, ...filler.split('.').slice(fixed.length)].join('.');

        expect(classOfAddress(address)).not.toBe('public');
      }),
    );
  });
});

describe('classOfHost', () => {
  it.each<[string, AddressClass]>([
    ['cdn.example.com', 'public'],
    ['localhost', 'loopback'],
    ['LOCALHOST.', 'loopback'],
    ['a.localhost', 'loopback'],
    ['registry', 'private'],
    ['registry.', 'private'],
    ['metadata.google.internal', 'private'],
    ['nas.local', 'private'],
    ['[::ffff:7f00:1]', 'loopback'],
    ['169.254.169.254', 'never'],
  ])('takes %s to be %s', (host, expected) => {
    expect(classOfHost(host)).toBe(expected);
  });

  it.each(['0x7f.1', '2130706433', '0177.0.0.1', '127.1', '127.0.0.1.'])(
    'sees through the spelling http://%s/',
    (host) => {
      expect(classOfHost(new URL(`http://${host}/`).hostname)).toBe('loopback');
    },
  );
});

describe('within', () => {
  it('lets nobody name what is never to be named', () => {
    expect(
      (['public', 'private', 'loopback'] as const).some((reach) => within(reach, 'never')),
    ).toBe(false);
  });

  it('lets each reach name what is no wider than itself', () => {
    expect([within('public', 'private'), within('private', 'loopback')]).toEqual([false, false]);
    expect([
      within('public', 'public'),
      within('private', 'public'),
      within('loopback', 'private'),
    ]).toEqual([true, true, true]);
  });
});
