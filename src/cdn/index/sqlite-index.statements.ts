/** SQL of one connection: each text is prepared once. */
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import { parseDigest, type Digest } from '../../oci/digest';
import { UnusableIndex } from './sqlite-index.schema';

/** At most so many rows are written or summed up at one go; then others have their turn. */
export const CHUNK = 1000;

export type Row = Record<string, SQLOutputValue>;

export class Statements {
  readonly #prepared = new Map<string, StatementSync>();

  constructor(private readonly database: DatabaseSync) {}

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): readonly Row[] {
    return this.#prepare(sql).all(...values);
  }

  /** @returns how many rows it changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (!statement) this.#prepared.set(sql, (statement = this.database.prepare(sql)));
    return statement;
  }
}

/** Digests become paths and requests further up: what is none any more means that the file is damaged. */
export function digestIn(row: Row): Digest {
  const digest = parseDigest(String(row['digest']));
  if (!digest) throw new UnusableIndex('the index names a digest that is none');
  return digest;
}
