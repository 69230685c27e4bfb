/** A page of the server's own, in the style that its policy allows: no scripts, nothing from elsewhere. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
pre{background:#f3f1ee;padding:.8rem 1rem;border-radius:.4rem;overflow-x:auto}a{color:#b3470f}
@media(prefers-color-scheme:dark){body{color:#eee;background:#17171a}pre{background:#26262b}a{color:#ff9d66}}</style></head>
<body>${body}</body></html>
`;
}

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
