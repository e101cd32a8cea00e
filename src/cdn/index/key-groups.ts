/** Which keys belong together, so that those of one group are found without looking through all. */
export class KeyGroups {
  readonly #keys = new Map<string, Set<string>>();

  /** How many groups have a key: one that its last key left is gone. */
  get size(): number {
    return this.#keys.size;
  }

  of(group: string): readonly string[] {
    return [...(this.#keys.get(group) ?? [])];
  }

  add(key: string, groups: readonly string[]): void {
    for (const group of groups)
      this.#keys.set(group, (this.#keys.get(group) ?? new Set()).add(key));
  }

  remove(key: string, groups: readonly string[]): void {
    for (const group of groups) {
      const keys = this.#keys.get(group);
      if (keys?.delete(key) && keys.size === 0) this.#keys.delete(group);
    }
  }
}
