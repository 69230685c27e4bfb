/** What app.ts and other modules may use of mail. */
export { Mail, sealedLetters } from "./mail.ts";
export { readSmtp } from "./read-smtp.ts";
export { Smtp } from "./smtp.ts";
