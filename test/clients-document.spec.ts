import { clientsDocument } from './clients-document';
import { onDisk } from './support/on-disk';

describe('docs/clients.md', () => {
  it('says what a gate says', () => {
    const made = clientsDocument();

    expect(onDisk('docs/clients.md', made)).toBe(made);
  });
});
