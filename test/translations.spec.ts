/** Pages in two languages, held in step: the same headings, commands, tables and links. And every anchor that is linked to. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = resolve(__dirname, '..');
const TRANSLATED = '.zh-CN.md';
const FENCED = /^(```\w*)\n([\s\S]*?)^```$/gm;

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

const documents = execFileSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'],
  { cwd: ROOT, encoding: 'utf8' },
)
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(ROOT, path)))
  .sort();

const translated = documents.filter((path) => path.endsWith(TRANSLATED));

/** A page without its code blocks, in which a # would be no heading. */
const prose = (path: string) => read(path).replaceAll(FENCED, '');

const headings = (path: string) =>
  [...prose(path).matchAll(/^(#+) (.+)$/gm)].map(([, level = '', text = '']) => ({ level, text }));

const blocks = (path: string) => [...read(path).matchAll(FENCED)].map(([whole]) => whole);

/** `like this`, each once. */
const codes = (path: string) =>
  new Set([...prose(path).matchAll(/`([^`]+)`/g)].map(([, it]) => it));

/** The rows of each table, by how many cells they have. */
const rows = (path: string) =>
  [...prose(path).matchAll(/^\|.*\|$/gm)].map(([row]) => row.split(/(?<!\\)\|/).length);

/** Where the page leads, whatever language is spoken there; not within the page, and not to its own translation. */
const targets = (path: string) =>
  [...prose(path).matchAll(/\]\((?!#)([^)]+)\)/g)]
    .map(([, target = '']) => target.replace(TRANSLATED, '.md'))
    .filter((target) => join(dirname(path), target) !== path.replace(TRANSLATED, '.md'))
    .sort();

/** The anchor that GitHub and others give a heading. */
const slug = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');

it('the README and every page about moving are there in both languages', () => {
  const expected = documents.filter(
    (path) => /^(?:README|docs\/migrating\/[\w-]+)\.md$/.test(path) && !path.endsWith(TRANSLATED),
  );

  expect(expected.length).toBeGreaterThanOrEqual(7);
  expect(translated).toEqual(expected.map((path) => path.replace('.md', TRANSLATED)));
});

describe.each(translated)('%s', (path) => {
  const original = path.replace(TRANSLATED, '.md');

  it('has the headings of the original', () => {
    const levels = (each: string) => headings(each).map(({ level }) => level);

    expect(levels(path)).toEqual(levels(original));
  });

  it('has its commands, letter by letter', () => {
    expect(blocks(path)).toEqual(blocks(original));
    expect(codes(path)).toEqual(codes(original));
  });

  it('has its tables and links', () => {
    expect(rows(path)).toEqual(rows(original));
    expect(targets(path)).toEqual(
      targets(original).filter((target) => !target.endsWith(TRANSLATED)),
    );
  });

  it('and its original name each other', () => {
    const [own, other] = [path, original].map((each) => each.slice(each.lastIndexOf('/') + 1));

    expect(read(path)).toContain(`[English](${other})`);
    expect(read(original)).toContain(`[中文](${own})`);
  });
});

it('what is linked to within a page is there', () => {
  const broken = documents.flatMap((path) =>
    [...prose(path).matchAll(/\]\(([^)\s:]*)#([^)]+)\)/g)]
      .filter(([, page = '', anchor]) => {
        const target = page === '' ? path : relative(ROOT, resolve(ROOT, dirname(path), page));
        return !headings(target).some(({ text }) => slug(text) === anchor);
      })
      .map(([link]) => `${path} ${link}`),
  );

  expect(broken).toEqual([]);
});
