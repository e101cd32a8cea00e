/**
 * For an LRUCache of so many entries: it takes memory for those that it has. By `max` it would take it for all of them as it is made,
 * which for tens of thousands also holds the event loop for milliseconds.
 */
export function atMost(entries: number): { maxSize: number; sizeCalculation: () => number } {
  return { maxSize: entries, sizeCalculation: () => 1 };
}
