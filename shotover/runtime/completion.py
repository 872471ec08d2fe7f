"""`shotover completion bash|zsh|fish`: what a shell completes, written from the parsers.

A script needs no Shotover while it completes: all words stand in it. So one of another version offers what that one takes.
"""

from __future__ import annotations

from shotover.runtime.grammar import FILE, FOLDER, PATH, Flag, Verb

SHELLS = ("bash", "zsh", "fish")
FIRST = "run"
"""The verb when none is given."""


def script(shell: str, verbs: list[Verb]) -> str:
    """What the shell is to read."""
    return {"bash": bash, "zsh": zsh, "fish": fish}[shell](verbs)


BASH = """\
# Completion of shotover for bash: source it, or put it where bash-completion looks.
_shotover_offer() {{
    local IFS=$'\\n'
    # bash 3.2, which macOS has, knows no mapfile
    # shellcheck disable=SC2207
    COMPREPLY=($(compgen "$@" -- "$current"))
}}

_shotover_words() {{
    _shotover_offer -W "${{1// /$'\\n'}}"
}}

_shotover() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} verb={first} words
    # --flag=value comes as three words
    if [[ $current == "=" ]]; then current=""; fi
    if [[ $before == "=" ]]; then before=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
    case ${{COMP_WORDS[1]}} in
        {names}) ((COMP_CWORD > 1)) && verb=${{COMP_WORDS[1]}} ;;
    esac
    case $verb:$before in
{values}
    esac
    case $verb in
{words}
    esac
    if ((COMP_CWORD == 1)); then words+=" {verbs}"; fi
    _shotover_words "$words"
}}

complete -F _shotover shotover
"""


def bash(verbs: list[Verb]) -> str:
    values, words = [], []
    for verb in verbs:
        for flag in verb.flags:
            if flag.value is not None:
                pattern = "|".join(f"{verb.name}:{name}" for name in flag.names)
                values.append(f"        {pattern}) {_bash_value(flag)}return ;;")
        offered = [name for flag in verb.flags for name in flag.names] + verb.words
        words.append(f'        {verb.name}) words="{" ".join(offered)}" ;;')
    names = [verb.name for verb in verbs]
    return BASH.format(
        first=FIRST,
        names="|".join(names),
        verbs=" ".join(names),
        values="\n".join(values),
        words="\n".join(words),
    )


def _bash_value(flag: Flag) -> str:
    if flag.words:
        return f'_shotover_words "{" ".join(flag.words)}"; '
    kind = {FILE: "-f", PATH: "-f", FOLDER: "-d"}.get(flag.value or "")
    return f"compopt -o filenames 2>/dev/null; _shotover_offer {kind}; " if kind else ""


ZSH = """\
#compdef shotover
# Completion of shotover for zsh: a file _shotover in a folder of $fpath.
_shotover() {{
    local verb={first}
    local -a verbs=(
{verbs}
    )
    if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
        _describe verb verbs
        return
    fi
    case $words[2] in
        {names})
            verb=$words[2]
            shift words
            ((CURRENT--))
            ;;
    esac
    case $verb in
{cases}
    esac
}}

if [[ $funcstack[1] == _shotover ]]; then
    _shotover "$@"
else
    compdef _shotover shotover
fi
"""


def zsh(verbs: list[Verb]) -> str:
    lines = [
        f"        {_zsh_quoted(_colons(verb.name) + ':' + first(verb.about))}" for verb in verbs
    ]
    cases = []
    for verb in verbs:
        arguments = [_zsh_flag(flag) for flag in verb.flags]
        if verb.operand:
            words = f"({' '.join(verb.words)})" if verb.words else ""
            arguments.append(_zsh_quoted(f"*:{_colons(verb.operand)}:{words}"))
        joined = " \\\n                ".join(arguments)
        cases.append(
            f"        {verb.name})\n            _arguments \\\n                {joined}\n            ;;"
        )
    return ZSH.format(
        first=FIRST,
        names="|".join(verb.name for verb in verbs),
        verbs="\n".join(lines),
        cases="\n".join(cases),
    )


def _zsh_flag(flag: Flag) -> str:
    about = flag.about.replace("[", "\\[").replace("]", "\\]")
    value = ""
    if flag.value is not None:
        action = {FILE: "_files", PATH: "_files", FOLDER: "_files -/"}.get(flag.value, "")
        action = f"({' '.join(flag.words)})" if flag.words else action
        value = f":{_colons(flag.value)}:{action}"
    text = _zsh_quoted(f"[{about}]{value}")
    if len(flag.names) == 1:
        return f"{flag.names[0]}{text}"
    return f"'({' '.join(flag.names)})'{{{','.join(flag.names)}}}{text}"


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _colons(text: str) -> str:
    return text.replace(":", "\\:")


FISH = """\
# Completion of shotover for fish: a file shotover.fish in ~/.config/fish/completions.
function __shotover_verb
    set -l given (commandline -opc)
    if set -q given[2]; and contains -- $given[2] {names}
        test $given[2] = $argv[1]
    else
        test $argv[1] = {first}
    end
end

complete -c shotover -f
"""


def fish(verbs: list[Verb]) -> str:
    names = " ".join(verb.name for verb in verbs)
    lines = [FISH.format(first=FIRST, names=names)]
    for verb in verbs:
        about = _fish_quoted(first(verb.about))
        lines.append(f"complete -c shotover -n __fish_use_subcommand -a {verb.name} -d {about}")
    for verb in verbs:
        start = f"complete -c shotover -n '__shotover_verb {verb.name}'"
        lines += [f"{start}{_fish_flag(flag)}" for flag in verb.flags]
        if verb.words:
            lines.append(f"{start} -a {_fish_quoted(' '.join(verb.words))}")
    return "\n".join(lines) + "\n"


def _fish_flag(flag: Flag) -> str:
    parts = [
        f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in flag.names
    ]
    if flag.words:
        parts.append(f" -x -a {_fish_quoted(' '.join(flag.words))}")
    elif flag.value in (FILE, PATH, FOLDER):
        parts.append(" -r -F")
    elif flag.value is not None:
        parts.append(" -x")
    return "".join(parts) + f" -d {_fish_quoted(flag.about)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def first(text: str) -> str:
    """The first sentence, without its full stop."""
    return text.split(". ")[0].rstrip(".")
