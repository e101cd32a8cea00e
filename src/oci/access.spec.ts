import fc from 'fast-check';
import { formatScope, parseScope, parseScopes } from './access';

const type = fc.stringMatching(/^[a-z0-9]{1,12}$/);
const name = fc.stringMatching(/^[a-z0-9][a-z0-9._:/-]{0,40}$/);
const actions = fc.uniqueArray(fc.oneof(fc.constant('*'), fc.stringMatching(/^[a-z]{1,8}$/)), {
  maxLength: 5,
});
const access = fc.record({ type, name, actions });

describe('parseScope', () => {
  it.each([
    ['repository:library/nginx:pull', 'repository', 'library/nginx', ['pull']],
    ['repository:team/app:pull,push', 'repository', 'team/app', ['pull', 'push']],
    [
      'repository:localhost:5000/team/app:pull,push',
      'repository',
      'localhost:5000/team/app',
      ['pull', 'push'],
    ],
    ['repository:team/app:*', 'repository', 'team/app', ['*']],
    ['repository(plugin):team/app:pull', 'repository', 'team/app', ['pull']],
    ['repository:team/app:pull,pull', 'repository', 'team/app', ['pull']],
    ['repository:team/app:', 'repository', 'team/app', []],
    ['registry:catalog:*', 'registry', 'catalog', ['*']],
    ['registry:catalog:search', 'registry', 'catalog', ['search']],
  ])('reads %s', (text, expectedType, expectedName, expectedActions) => {
    expect(parseScope(text)).toEqual({
      type: expectedType,
      name: expectedName,
      actions: expectedActions,
    });
  });

  it.each([
    '',
    ':',
    '::',
    'repository',
    'repository:team/app',
    'repository::pull',
    ':team/app:pull',
    'Repository:team/app:pull',
    'repository(:team/app:pull',
    'repository(Plugin):team/app:pull',
    'repository:team/app:PULL',
    'repository:team/app:pull,pu sh',
    'repository:team/app:pull;push',
    'repository:team/app:**',
  ])('refuses %j', (text) => {
    expect(parseScope(text)).toBeUndefined();
  });

  it('reads back what formatScope wrote', () => {
    fc.assert(
      fc.property(access, (scope) => {
        expect(parseScope(formatScope(scope))).toEqual(scope);
      }),
    );
  });

  it('never throws, and finds only what stands in the text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.constantFrom(':', ',', '(', ')', '*', 'a')).map((p) => p.join('')),
        ),
        (text) => {
          const scope = parseScope(text);

          if (scope)
            expect(text.startsWith(scope.type) && text.includes(`:${scope.name}:`)).toBe(true);
        },
      ),
    );
  });

  it('does not read a text over 16 KiB', () => {
    const long = (length: number) =>
      `repository:${'a'.repeat(length - 'repository::pull'.length)}:pull`;

    expect(parseScope(long(16 * 1024))).toBeDefined();
    expect(parseScope(long(16 * 1024 + 1))).toBeUndefined();
  });
});

describe('parseScopes', () => {
  it('reads repeated parameters and space-separated ones alike', () => {
    const pull = { type: 'repository', name: 'a', actions: ['pull'] };
    const push = { type: 'repository', name: 'b', actions: ['push'] };

    expect(parseScopes(['repository:a:pull', 'repository:b:push'])).toEqual([pull, push]);
    expect(parseScopes(['repository:a:pull repository:b:push'])).toEqual([pull, push]);
    expect(parseScopes(['  repository:a:pull  ', '', 'repository:b:push'])).toEqual([pull, push]);
    expect(parseScopes([])).toEqual([]);
  });

  it('counts blanks for nothing, and reads texts of 16 KiB and no longer ones', () => {
    const pull = { type: 'repository', name: 'a', actions: ['pull'] };
    const long = (length: number) => `${'x'.repeat(length - 18)} repository:a:pull`;

    expect(parseScopes([`${' '.repeat(200)}repository:a:pull`])).toEqual([pull]);
    expect(parseScopes([long(16 * 1024)])).toEqual([pull]);
    expect(parseScopes([long(16 * 1024 + 1)])).toEqual([]);
  });

  it('leaves out malformed scopes and keeps the others', () => {
    expect(parseScopes(['repository:a:pull nonsense repository:B', 'registry:catalog:*'])).toEqual([
      { type: 'repository', name: 'a', actions: ['pull'] },
      { type: 'registry', name: 'catalog', actions: ['*'] },
    ]);
  });

  it('reads back any list, however it is spread over parameters', () => {
    fc.assert(
      fc.property(fc.array(fc.array(access, { maxLength: 4 }), { maxLength: 4 }), (groups) => {
        expect(parseScopes(groups.map((group) => group.map(formatScope).join(' ')))).toEqual(
          groups.flat(),
        );
      }),
    );
  });

  it('reads a hundred scopes and 16 KiB at most', () => {
    const scopes = Array.from({ length: 101 }, (_, i) => `repository:a${i}:pull`);

    expect(parseScopes(scopes).map((scope) => scope.name)).toEqual(
      Array.from({ length: 100 }, (_, i) => `a${i}`),
    );
    expect(parseScopes(['repository:a:pull', 'x'.repeat(16 * 1024)])).toEqual([]);
  });
});
