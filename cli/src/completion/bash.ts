import type { CompletionNode, CompletionOption } from "./tree.ts";

/** A script for bash 4 and newer, and for bash 3.2 of macOS. */
export function bashCompletion(nodes: readonly CompletionNode[]): string {
  const paths = nodes.slice(1).map(({ path }) => `'${path}'`);
  return `# bash completion for shipfox
_shipfox() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command=shipfox word index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case "$command $word" in
      ${paths.join("|")}) command="$command $word" ;;
    esac
  done
  COMPREPLY=()
  case "$command" in
${nodes.map(caseOf).join("\n")}
  esac
}
complete -o default -F _shipfox shipfox
`;
}

function caseOf({ path, words, options }: CompletionNode): string {
  const names = words.map(({ name }) => name).join(" ");
  const flags = options.flatMap((option) => option.flags).join(" ");
  const values = options.filter(({ takesValue }) => takesValue).map(valueCase);
  return `    '${path}')
      case "$previous" in
${values.map((line) => `        ${line}\n`).join("")}        *)
          case "$current" in
            -*) COMPREPLY=($(compgen -W '${flags}' -- "$current")) ;;
            *) COMPREPLY=($(compgen -W '${names}' -- "$current")) ;;
          esac ;;
      esac ;;`;
}

/** Without choices the shell's own completion, of file names, takes over. */
function valueCase({ flags, choices }: CompletionOption): string {
  const reply = choices.length === 0 ? "" : ` COMPREPLY=($(compgen -W '${choices.join(" ")}' -- "$current"))`;
  return `${flags.join("|")})${reply} ;;`;
}
