/** A new password: asked twice without an echo on a terminal, else the first line of the input. Never an argument. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/** The longest first line that is read, in characters; far more than any password may have. */
const MAX_LINE = 4096;

/** @param fromStdin reads the first line even where the input is a terminal. */
export async function readPassword({ fromStdin = false } = {}): Promise<string> {
  if (fromStdin || !process.stdin.isTTY) return readFirstLine();
  const password = await ask('Password: ');
  if ((await ask('Once more: ')) !== password) throw new Error('the two passwords differ');
  return password;
}

async function readFirstLine(): Promise<string> {
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) {
    text += chunk as string;
    if (text.includes('\n') || text.length > MAX_LINE) break;
  }
  const [line = ''] = text.split('\n', 1);
  return line.replace(/\r$/, '');
}

/** The question goes to stderr, what is typed goes nowhere. */
function ask(question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  process.stderr.write(question);
  return new Promise((resolve, reject) => {
    terminal.once('line', (line) => {
      resolve(line);
      terminal.close();
    });
    terminal.once('close', () => {
      process.stderr.write('\n');
      reject(new Error('no password was given'));
    });
  });
}
