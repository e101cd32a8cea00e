/**
 * A YAML file whose faults name their line. Every scalar is read as the text that stands there, so that the readers of the
 * settings serve here too, and a password of digits is not taken for a number.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
} from 'yaml';
import type { Faults } from './settings-error';

/** Keys of maps, and places in lists, from the top of the document. */
export type YamlPath = readonly PropertyKey[];

/** Beyond this an alias is no short form but a bomb. */
const MAX_ALIASES = 100;
/** In all, whatever they stand for: the parser goes through all of them for each. */
const MAX_ALIASES_IN_ALL = 1_000;
const MAX_LENGTH = 1024 * 1024;
/** Lists within lists in one line: the parser's work grows with the square of how many there are. */
const NESTED_IN_A_LINE = /^ *(?:[-?:][ \t]+){64}/m;
/** What is wrong in more places is another file than was meant: it shall neither hold up the gate nor fill its log. */
export const MAX_TOLD = 50;

/** The parser's own messages quote the text, which may be a password. */
const FAULTS: Readonly<Record<string, string>> = {
  ALIAS_WITHOUT_ANCHOR:
    'has an alias (*) without its anchor (&) before it; write out what is meant',
  DUPLICATE_KEY: 'has a key for the second time in one map; keep one of them',
  MULTIPLE_DOCS: 'begins a second document; keep everything in one',
  RESOURCE_EXHAUSTION: 'is nested too deeply; it cannot be what is meant',
  TAB_AS_INDENT: 'is indented by a tab; use spaces',
  TOO_MANY_ALIASES: `has more aliases (*) than ${MAX_ALIASES_IN_ALL}; write out what is meant`,
  TAG_RESOLVE_FAILED: 'has a tag (!); leave it out, and put text with a ! in front into quotes',
};

export class YamlDocument {
  /** Maps, lists and texts; undefined when there is no document that could be read, or an empty one. */
  readonly value: unknown;
  readonly #document: Document.Parsed | undefined;
  readonly #lines = new LineCounter();

  /**
   * @param file how faults call the file.
   * @param faults takes what is wrong, by line, without any of the text.
   */
  constructor(
    text: string,
    readonly file: string,
    faults: Faults,
  ) {
    if (text.length > MAX_LENGTH) {
      faults.add(`${file} is longer than a million characters; it cannot be what is meant`);
      return;
    }
    if (NESTED_IN_A_LINE.test(text)) {
      faults.add(`${file} ${FAULTS['RESOURCE_EXHAUSTION']}`);
      return;
    }
    try {
      this.#document = parseDocument(text, {
        schema: 'failsafe',
        prettyErrors: false,
        logLevel: 'error',
        // Its own search compares each key with all before it: see keysTwice.
        uniqueKeys: false,
        lineCounter: this.#lines,
      });
      const { errors, warnings } = this.#document;
      const found = [
        ...[...errors, ...warnings].map(({ code, pos }) => ({ code, at: pos[0] })),
        ...keysTwice(this.#document).map((at) => ({ code: 'DUPLICATE_KEY', at })),
        ...oddAliases(this.#document),
      ];
      for (const { code, at } of found.slice(0, MAX_TOLD)) {
        const fault = FAULTS[code] ?? `is not YAML (${code}); correct its form`;
        faults.add(`${file}:${this.#lines.linePos(at).line}: ${fault}`);
      }
      if (found.length > 0) return;
      // A document without anything reads as nothing, or as an empty text.
      this.value = this.#document.toJS({ maxAliasCount: MAX_ALIASES }) || undefined;
    } catch {
      faults.add(`${file} cannot be read: it is nested too deeply, or has too many aliases`);
    }
  }

  /** The line of what stands at the path, or of the nearest thing around it; from 1. */
  lineOf(path: YamlPath): number {
    let node: unknown = this.#document?.contents;
    let offset = 0;
    for (const key of path) {
      if (isAlias(node) && this.#document) node = node.resolve(this.#document);
      if (isMap(node)) {
        const pair = node.items.find((each) => isScalar(each.key) && each.key.value === key);
        offset = startOf(pair?.key) ?? offset;
        node = pair?.value;
      } else {
        node = isSeq(node) ? node.items[Number(key)] : undefined;
        offset = startOf(node) ?? offset;
      }
    }
    return this.#lines.linePos(offset).line;
  }
}

/** Where keys stand that their map has already. */
function keysTwice(document: Document.Parsed): number[] {
  const found: number[] = [];
  visit(document, {
    Map: (_, { items }) => {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) found.push(startOf(key) ?? 0);
        seen.add(key.value);
      }
    },
  });
  return found;
}

/** Aliases that stand for nothing, and the one that is one too many. */
function oddAliases(document: Document.Parsed): { code: string; at: number }[] {
  const found: { code: string; at: number }[] = [];
  const anchors = new Set<string>();
  let count = 0;
  visit(document, {
    Node: (_, node) => {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.add(node.anchor);
        return;
      }
      const at = startOf(node) ?? 0;
      if (!anchors.has(node.source)) found.push({ code: 'ALIAS_WITHOUT_ANCHOR', at });
      count += 1;
      if (count === MAX_ALIASES_IN_ALL + 1) found.push({ code: 'TOO_MANY_ALIASES', at });
    },
  });
  return found;
}

function startOf(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] } | undefined)?.range;
  return range?.[0];
}
