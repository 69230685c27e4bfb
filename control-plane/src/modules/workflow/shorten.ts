const MAX_QUOTED_CHARACTERS = 60;

/** Keeps a message readable when the author's text in it is not; never cuts a character in half. */
export function shorten(text: string, maxCharacters = MAX_QUOTED_CHARACTERS): string {
  return text.length <= maxCharacters ? text : `${text.slice(0, maxCharacters - 1).toWellFormed()}…`;
}
