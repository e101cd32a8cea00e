/**
 * What V8 makes of the code is kept beside it, in `.compile-cache`, so that the next start is a sixth quicker. Whoever can
 * write there can change the code itself, which is why it lies there and not in a folder for temporary files. Node checks
 * each entry against its source, and does without where nothing can be written. Imported before the rest of the code.
 */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

enableCompileCache(join(__dirname, '../.compile-cache'));
