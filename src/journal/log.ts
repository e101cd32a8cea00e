/**
 * The log: JSON lines on stdout. No secret may reach it: what is logged is chosen field by field, never a whole request,
 * header set or URL of somebody else's. Redaction is the net below that, not the means.
 */
import { pino, type Logger } from 'pino';

export type Log = Logger;

/** The injection token of the log. */
export const Log = Symbol('Log');
