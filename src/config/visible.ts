/** What a terminal obeys or does not show: controls, DEL and C1, text direction, zero width, line and paragraph ends. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const UNSEEN_BUT_LINES = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const PLAIN = /^[ -~\n]*$/;

/** A text of others' as a terminal may show it: what it would obey or hide stands there escaped, as JSON has it. */
export function visible(text: string): string {
  return PLAIN.test(text) && !text.includes('\n') ? text : text.replace(UNSEEN, escaped);
}

/** The same of a text in lines, which stay lines. */
export function visibleLines(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNSEEN_BUT_LINES, escaped);
}

/** As JSON writes it: a backslash, `u` and four digits for each half. */
function escaped(character: string): string {
  const halves = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return halves.map((half) => `\\u${half.toString(16).padStart(4, '0')}`).join('');
}
