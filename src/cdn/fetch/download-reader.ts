import type { Writable } from 'node:stream';
import type { Body } from '../body/body';
import { DigestMismatch } from './digest-mismatch';
import { passOn } from './direct-body';
import type { GrowingContent, Rest } from './growing-content';
import { ClientGone, Outlet } from '../body/outlet';
import type { ReadBuffers } from '../body/read-buffers';

/** Bytes [from, to) of a content that is being fetched; to its end without `to`. */
export interface ReaderPart {
  readonly from: number;
  readonly to: number | undefined;
}

/** One client's way along a fetch: what lies in the file, what is in memory, the chunk in hand, and then waiting for more. */
export class DownloadReader implements Body {
  #outlet: Outlet | undefined;
  #broken: Error | undefined;
  #left = false;

  /** @param leave called once, when it does not read any more. */
  constructor(
    private readonly content: GrowingContent,
    private readonly part: ReaderPart,
    private readonly buffers: ReadBuffers,
    private readonly leave: (reader: DownloadReader) => void,
  ) {}

  /** Known once the fetch is open, and never where the upstream does not say how much there is. */
  get length(): number | undefined {
    const { total } = this.content;
    if (total === undefined) return undefined;
    return Math.max(0, Math.min(this.part.to ?? total, total) - this.part.from);
  }

  get failure(): Error | undefined {
    return this.content.failure;
  }

  async sendTo(sink: Writable): Promise<void> {
    const outlet = new Outlet(sink);
    this.#outlet = outlet;
    if (this.#broken) outlet.break(this.#broken);
    try {
      await this.#follow(outlet);
    } catch (error) {
      throw outlet.failure ?? error;
    } finally {
      outlet.release();
      this.#leave();
    }
  }

  close(): void {
    this.break(new ClientGone());
  }

  /** Ends it with that error, even while it waits for its client. */
  break(error: Error): void {
    this.#broken ??= error;
    if (this.#outlet) this.#outlet.break(error);
    else this.#leave();
  }

  #leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.leave(this);
  }

  async #follow(outlet: Outlet): Promise<void> {
    const { content, buffers } = this;
    let position = this.part.from;
    for (;;) {
      if (outlet.failure) throw outlet.failure;
      const end = this.#end();
      // Whoever asked for the last byte of all waits for the digest, even where there is no byte.
      if (position >= end && (content.whole || end !== content.total)) return;
      const visible = Math.min(content.visible, end);
      if (position < visible) {
        position += await content.bytes.send(outlet, position, visible, buffers);
      } else if (content.failure) {
        throw content.failure;
      } else if (content.rest) {
        return this.#goAlone(outlet, position, content.rest);
      } else {
        await content.change(outlet);
      }
    }
  }

  #end(): number {
    const { total, whole, bytes } = this.content;
    const last = total ?? (whole ? bytes.received : Infinity);
    return Math.min(this.part.to ?? last, last);
  }

  /** The fetch is not shared any more: the rest comes from the upstream to this reader alone. */
  async #goAlone(outlet: Outlet, position: number, rest: Rest): Promise<void> {
    const { digest, total, bytes } = this.content;
    const to = this.#end();
    const { at, hash } = rest;
    const check =
      total === undefined || to === total ? { digest, hash: hash.copy(), at } : undefined;
    // What is to be checked has to be hashed from where the others stopped. That may be the end, if nobody knows where that
    // is, and of nothing there is no range: the last byte before it is asked for, too.
    const overlap = total === undefined ? 1 : 0;
    const open = {
      from: check ? at - overlap : Math.max(position, at),
      to: check ? undefined : to,
    };
    const withheld = position < at ? bytes.newest(position) : undefined;
    const from = Math.max(position, at);
    const upstream = await this.content.openRest(rest, open, outlet.signal);
    try {
      await passOn(outlet, upstream, { from, to, check, withheld });
    } catch (error) {
      if (error instanceof DigestMismatch) {
        upstream.distrust();
        rest.onMismatch(upstream.host);
      }
      throw error;
    }
  }
}
