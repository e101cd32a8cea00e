/** An index of a gate's cache that can be read and not written, as on a disk that is full. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

type Table = 'content' | 'link' | 'tag';

/** Every write to these tables fails while the work is done, whichever process it comes from. */
export async function whileUnwritable<T>(
  dataDir: string,
  work: () => Promise<T>,
  tables: readonly Table[] = ['content', 'link', 'tag'],
): Promise<T> {
  const names = tables.flatMap((table) => ['INSERT', 'UPDATE', 'DELETE'].map((w) => [w, table]));
  const change = (statementOf: (write: string, table: string) => string) => {
    const index = new DatabaseSync(join(dataDir, 'index.sqlite'), { timeout: 5_000 });
    for (const [write = '', table = ''] of names) index.exec(statementOf(write, table));
    index.close();
  };
  change(
    (write, table) => `CREATE TRIGGER full_${write}_${table} BEFORE ${write} ON ${table}
      BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`,
  );
  try {
    return await work();
  } finally {
    change((write, table) => `DROP TRIGGER full_${write}_${table}`);
  }
}
