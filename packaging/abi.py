"""What rampmeter.h promises, in forms that can be compared with what it promised before.

abi.py layout HEADER    size and offsets of every structure, as the C compiler lays them out:
                            rampmeter_submission 88
                            rampmeter_submission.tag 8 8        (offset, size)
abi.py stubs HEADER     a C file that defines every function of the header and does nothing:
                        compiled with -g, its library has the types of the header and no others,
                        which is what abidiff shall look at
"""

import os
import re
import subprocess
import sys
import tempfile

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
STRUCTURE = re.compile(r"typedef struct (rampmeter_\w+) \{\n(.*?)\n\} \1;", re.DOTALL)
FIELD = re.compile(r"(\w+)(?:\[[^\]]*\])?;")
FUNCTION = re.compile(r"^((?:const )?\w+ \*?)(rampmeter_\w+)\(([^;{]*)\);", re.MULTILINE)


def read(header):
    """The header without its comments."""
    with open(header, encoding="utf-8") as file:
        return COMMENT.sub("", file.read())


def layout(text):
    """A C program that prints sizes and offsets."""
    lines = ['#include "rampmeter.h"', "#include <stdio.h>", "int main(void) {"]
    for name, body in STRUCTURE.findall(text):
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        lines += [
            f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}),'
            f" sizeof((({name} *)0)->{field}));"
            for field in FIELD.findall(body)
        ]
    return "\n".join([*lines, "return 0; }", ""])


def stubs(text):
    """A C file that defines every function."""
    lines = ['#include "rampmeter.h"']
    for kind, name, arguments in FUNCTION.findall(text):
        body = "" if kind.strip() == "void" else "return 0;"
        lines.append(f"{kind}{name}({' '.join(arguments.split())}) {{ {body} }}")
    return "\n".join([*lines, ""])


def main():
    """Runs the program of `layout`, or prints the file of `stubs`."""
    what, header = sys.argv[1:]
    if what == "stubs":
        print(stubs(read(header)), end="")
        return
    with tempfile.TemporaryDirectory() as folder:
        source, binary = os.path.join(folder, "layout.c"), os.path.join(folder, "layout")
        with open(source, "w", encoding="utf-8") as file:
            file.write(layout(read(header)))
        include = f"-I{os.path.dirname(os.path.abspath(header))}"
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-std=c99", include, source, "-o", binary], check=True)
        subprocess.run([binary], check=True)


if __name__ == "__main__":
    main()
