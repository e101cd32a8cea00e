/** Text of somebody else's, without what a terminal would obey. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '�').slice(0, 500);
}
