# SPDX-License-Identifier: Apache-2.0
"""utapictl.1 says what utapictl --help says: the synopsis of each command, and each option with its argument.

    python3 test_manual.py UTAPICTL PAGE

Both come from the tables of options in api/ctl. The lines of mdoc that the page must have are made of what --help
prints, and shown where they are missing.
"""

import re
import subprocess
import sys

# In a usage: a group in brackets or braces, perhaps repeated, or a plain word.
GROUP = re.compile(r"([\[{])((?:[^\[\]{}]|\[[^\]]*\])*)[\]}](\.\.\.)?|\b([A-Z]+)\b")
# In the list below: "  -p, --port PORT    help".
ROW = re.compile(r"^  (?:-(\w),|   ) --([a-z-]+)(?: ([A-Z]\S*))? ")


def help_of(program, *command):
    return subprocess.run([program, *command, "--help"], capture_output=True, text=True, check=True).stdout


def words(text):
    """ "-s TIME | -r" as words of mdoc: "Fl s Ar time | Fl r"."""
    found = []
    for word in text.split():
        if word.startswith("-"):
            found.append(f"Fl {word[1:]}")
        elif word == "|":
            found.append(word)
        else:
            found.append(f"Cm {word}" if word.islower() else f"Ar {word.lower()}")
    return " ".join(found)


def synopsis(program, command):
    usage = re.match(rf"Usage: utapictl {command}(.*?)\n(?=\S)", help_of(program, command), re.S).group(1)
    lines = [".Nm", f".Cm {command}"]
    for bracket, inside, repeated, word in GROUP.findall(usage):
        lines.append(f".Ar {word.lower()}" if word else (".Op " if bracket == "[" else ".Brq ") + words(inside) + (" ..." if repeated else ""))
    return lines


def items(program, command):
    """The line that describes each option in the page's lists."""
    for line in help_of(program, command).split("\n"):
        row = ROW.match(line)
        if row:
            letter, name, argument = row.groups()
            forms = f".It Fl {letter} , -{name}" if letter else f".It Fl -{name}"
            yield forms + (f" Ar {argument.lower()}" if argument else "")


def problems(program, page):
    commands = re.findall(r"^  (\w[\w-]*) +\w", help_of(program), re.M)
    head = page[page.index(".Sh SYNOPSIS") : page.index(".Sh DESCRIPTION")]
    wanted = [".Sh SYNOPSIS"]
    for command in commands:
        wanted += synopsis(program, command)
    wanted += [".Nm", ".Fl -help | Fl -version", ""]
    if head != "\n".join(wanted):
        yield "the synopsis must be:\n" + "\n".join(wanted)
    lines = page.split("\n")
    for command in commands:
        for item in items(program, command):
            if item not in lines:
                yield f"{command}: there is no line {item}"


def main(program, path):
    with open(path, encoding="utf-8") as file:
        found = list(problems(program, file.read()))
    print("\n".join(found) or "the page and --help agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
