/**
 * Files are read, and passwords hashed, on libuv's pool of threads. Its own size of four lets a few hashes starve every
 * read; it must be set before the pool is first used, so that this is imported before anything that reads.
 */
process.env.UV_THREADPOOL_SIZE ??= '16';
