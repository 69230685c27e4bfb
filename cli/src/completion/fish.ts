import type { CompletionNode, CompletionOption } from "./tree.ts";

/** For ~/.config/fish/completions/shipfox.fish. */
export function fishCompletion(nodes: readonly CompletionNode[]): string {
  const paths = nodes.slice(1).map(({ path }) => quote(path));
  return `# fish completion for shipfox
function __shipfox_at
    set -l command shipfox
    for word in (commandline -opc)[2..-1]
        if contains -- "$command $word" ${paths.join(" ")}
            set command "$command $word"
        end
    end
    test "$command" = "$argv[1]"
end
${nodes.flatMap(linesOf).join("\n")}
`;
}

function linesOf({ path, words, options }: CompletionNode): string[] {
  const at = `complete -c shipfox -n ${quote(`__shipfox_at ${quote(path)}`)}`;
  const commands = words.map(({ name, description }) => `${at} -f -a ${name} -d ${quote(description)}`);
  return [...commands, ...options.map((option) => `${at} ${optionWords(option)}`)];
}

function optionWords({ flags, description, takesValue, choices }: CompletionOption): string {
  const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  const value = choices.length > 0 ? ["-x", "-a", quote(choices.join(" "))] : takesValue ? ["-r"] : [];
  return [...names, ...value, "-d", quote(description)].join(" ");
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
