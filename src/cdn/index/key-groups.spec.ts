import { KeyGroups } from './key-groups';

it('a key is in each of its groups, once, until it is removed', () => {
  const groups = new KeyGroups();
  groups.add('k1', ['a', 'b']);
  groups.add('k2', ['b']);
  groups.add('k1', ['a', 'b']);
  const before = [groups.of('a'), groups.of('b'), groups.of('none')];

  groups.remove('k1', ['a', 'b', 'none']);

  expect(before).toEqual([['k1'], ['k1', 'k2'], []]);
  expect([groups.of('a'), groups.of('b')]).toEqual([[], ['k2']]);
});

it('what is removed leaves no group behind', () => {
  const groups = new KeyGroups();
  groups.add('k1', ['a', 'b']);
  groups.add('k2', ['b']);

  groups.remove('k1', ['a', 'b']);
  const one = groups.size;
  groups.remove('k1', ['b']);
  const still = groups.size;
  groups.remove('k2', ['b']);

  expect([one, still, groups.size]).toEqual([1, 1, 0]);
});
