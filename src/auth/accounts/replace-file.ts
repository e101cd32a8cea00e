/** A file replaced whole and durably: its old content or its new one is there, whenever process or power ends. */
import { open, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/** A file with no write bit for anyone is read-only by its owner's will, though root may write it all the same. */
export class NotWritable extends Error {
  readonly code = 'NOWRITE';
}

/** What the operating system says of a file that can only be changed from elsewhere. */
const READ_ONLY = new Set(['EBUSY', 'EROFS', 'EACCES', 'EPERM', 'EXDEV', 'NOWRITE']);

/** True when trying again would not help, for the file or its folder is mounted or marked read-only. */
export function isReadOnly(error: unknown): boolean {
  return READ_ONLY.has(codeOf(error));
}

/** The system's name of a fault, such as `ENOSPC`. */
export function codeOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : 'unknown reason';
}

/** What `replaceFile` can foretell. @throws NotWritable for a file without any write bit. */
export async function assertWritable(path: string): Promise<void> {
  const stats = await statIfThere(path);
  if (stats && (stats.mode & 0o222) === 0) {
    throw new NotWritable(
      `no write permission for anyone, mode ${(stats.mode & 0o777).toString(8)}`,
    );
  }
}

/**
 * Temporary file, fsync, rename, fsync of the folder. Mode and owner stay; a new file is for its owner alone.
 * @throws the system's errors as they are; the old file then stands.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  await assertWritable(path);
  const stats = await statIfThere(path);
  // The library takes one write() for the whole and does not look at how much of it went through: on a disk that is all
  // but full it would put half a file in place. The text is therefore written in its hook, and nothing by itself.
  await writeFileAtomic(path, '', {
    mode: stats ? stats.mode & 0o7777 : 0o600,
    chown: stats ?? (await ownerOfNew(path)),
    tmpfileCreated: (temporary) => writeFile(temporary, text, { flag: 'r+' }),
  });
  await syncFolder(dirname(await realpath(path)));
}

/** A file that root makes (the command line, say) beside a gate that is not root must be the gate's. */
async function ownerOfNew(path: string): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await stat(dirname(path));
  return { uid, gid };
}

async function statIfThere(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The rename is durable once its folder is. Some network file systems cannot sync a folder, and need not. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EISDIR'].includes(codeOf(error))) throw error;
  } finally {
    await folder.close();
  }
}
