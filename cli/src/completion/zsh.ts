import type { CompletionNode, CompletionOption } from "./tree.ts";

/** For a folder of $fpath as \`_shipfox\`, or for \`source <(shipfox completion zsh)\` after compinit. */
export function zshCompletion(nodes: readonly CompletionNode[]): string {
  const paths = nodes.slice(1).map(({ path }) => `${quote(path)}`);
  return `#compdef shipfox
# zsh completion for shipfox
_shipfox() {
  local command=shipfox word
  local -a commands options values
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$command $word" in
      (${paths.join("|")}) command="$command $word" ;;
    esac
  done
  case "$command" in
${nodes.map(caseOf).join("\n")}
  esac
  if (( $#values )); then
    compadd -a values
  elif [[ $PREFIX == -* ]]; then
    _describe -o option options
  elif (( $#commands )); then
    _describe command commands
  else
    _files
  fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _shipfox "$@"
else
  compdef _shipfox shipfox
fi
`;
}

function caseOf({ path, words, options }: CompletionNode): string {
  const commands = words.map(({ name, description }) => described(name, description));
  const flags = options.flatMap((option) => option.flags.map((flag) => described(flag, option.description)));
  const chosen = options.filter(({ choices }) => choices.length > 0).map(valueCase);
  return `    (${quote(path)})
      commands=(${commands.join(" ")})
      options=(${flags.join(" ")})
      case "$words[CURRENT-1]" in
${chosen.map((line) => `        ${line}\n`).join("")}      esac ;;`;
}

function valueCase({ flags, choices }: CompletionOption): string {
  return `(${flags.join("|")}) values=(${choices.map(quote).join(" ")}) ;;`;
}

/** `_describe` reads up to the first colon that is not escaped as the word. */
function described(word: string, description: string): string {
  return quote(`${word.replaceAll(":", "\\:")}:${description}`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
