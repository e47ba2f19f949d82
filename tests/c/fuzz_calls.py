"""Writes a C file that calls every function of rampmeter.h with drawn arguments.

    fuzz_calls.py HEADER

The header says all that is needed: what is an object (a structure without fields), what is created
(`T **out`), what comes in (`const`), what goes out, and which count belongs to which array (`x`
with `x_len`, or with `capacity` or `len` behind it). tests/c/fuzz.c has the drawing; a function
that is added to the header is called without a line being written here.
"""

import pathlib
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
OPAQUE = re.compile(r"^typedef struct (rampmeter_\w+) \1;", re.MULTILINE)
STRUCTURE = re.compile(r"typedef struct (rampmeter_\w+) \{\n(.*?)\n\} \1;", re.DOTALL)
FUNCTION = re.compile(r"^((?:const )?\w+ \*?)(rampmeter_\w+)\(([^;{]*)\);", re.MULTILINE)
DECLARED = re.compile(r"^(?P<type>.*?)(?P<stars>\**)(?P<name>\w+)(?:\[(?P<len>\w+)\])?$")
SCALARS = {"uint8_t", "uint16_t", "uint32_t", "uint64_t", "int32_t", "size_t", "double", "char"}


# What a host that means well fills in, by the name of the structure.
GOOD = set(
    re.findall(
        r"^static void good_(rampmeter_\w+)\(",
        pathlib.Path(__file__).with_name("fuzz_good.h").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)

# Calls that need not have been accepted in a long run, and why.
MAY_FAIL = {
    # A request has to be swapped out at this moment: the KV cache overflows, with room beside it.
    "rampmeter_batcher_drop_swapped",
}

# Arrays that are as long as another one: their count has the other's name.
SAME_LEN = {"members_fit": "tasks_len", "values": "len"}


class Variable:
    """A field or an argument."""

    def __init__(self, text):
        found = DECLARED.match(" ".join(text.split()))
        self.const = "const " in found["type"]
        self.type = re.sub(r"\b(const|struct)\b", "", found["type"]).strip()
        self.stars = len(found["stars"]) + self.type.count("*")
        self.type = self.type.rstrip("* ")
        self.name = found["name"]
        self.len = found["len"]


class Header:
    """Types and functions."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            text = COMMENT.sub("", file.read())
        self.objects = OPAQUE.findall(text)
        self.structures = {
            name: [Variable(field) for field in body.split(";") if field.strip()]
            for name, body in STRUCTURE.findall(text)
        }
        self.functions = [
            (kind.strip(), name, [Variable(a) for a in arguments.split(",") if a.strip() != "void"])
            for kind, name, arguments in FUNCTION.findall(text)
        ]

    def sized(self, name):
        """Whether a structure begins with its size."""
        fields = self.structures[name]
        return fields[0].name == "size"


def counts(variables, of_structure=False):
    """Which variable counts which array: place of the array to place of its count. A `capacity` in
    a structure counts all of its arrays; else a count stands right behind its array."""
    found = {}
    for place, variable in enumerate(variables):
        if variable.stars == 0:
            continue
        for other, count in enumerate(variables):
            its = (f"{variable.name}_len", f"{variable.name}_capacity", SAME_LEN.get(variable.name))
            own = count.name in its
            shared = of_structure and count.name == "capacity"
            behind = not of_structure and other == place + 1 and count.name in ("capacity", "len")
            if count.stars == 0 and (own or shared or behind):
                found[place] = other
                break
    return found


def draw(variable):
    """An expression that draws a value of this type."""
    if variable.type.startswith("rampmeter_status"):
        return "draw_i32()"
    return f'draw_{variable.type.removesuffix("_t")}("{variable.name}")'


def filler(header, name):
    """A function that fills one element of a structure."""
    fields = header.structures[name]
    lines = [f"static void fill_{name}({name} *it) {{", "    (void)it;"]
    counted = counts(fields, of_structure=True)
    drawn = set()
    for count in counted.values():
        if count not in drawn:
            few = "draw_len" if fields[count].name.endswith("capacity") else "draw_few"
            lines.append(f"    size_t n{count} = {few}();")
            lines.append(f"    it->{fields[count].name} = ({fields[count].type})n{count};")
            drawn.add(count)
    for place, field in enumerate(fields):
        if field.name == "size" or place in drawn:
            continue
        if field.stars:
            count = f"n{counted[place]}" if place in counted else "1"
            if (
                place not in counted
                and field.type in header.structures
                and header.sized(field.type)
            ):
                sized = f"room_sized(sizeof({field.type}), (filler)fill_{field.type}, USE_POINTERS)"
                lines.append(f"    it->{field.name} = {sized};")
                continue
            lines.append(f"    it->{field.name} = {array(header, field, count)};")
        elif field.len:
            lines.append(
                f"    for (size_t i = 0; i < sizeof it->{field.name} / sizeof *it->{field.name};"
                f" i++) it->{field.name}[i] = {draw(field)};"
            )
        elif field.type in header.structures:
            lines.append(f"    fill_{field.type}(&it->{field.name});")
        else:
            lines.append(f"    if (sets()) it->{field.name} = {draw(field)};")
    if name in GOOD:
        lines.append(f"    if (!one_in(12)) good_{name}(it);")
    return "\n".join([*lines, "}"])


def keeper(header, name):
    """A function that remembers the numbers in one element, by the names of their fields."""
    lines = [f"static void keep_{name}(const {name} *it) {{", "    (void)it;"]
    for field in header.structures[name]:
        if field.type == "uint64_t" and not field.stars and not field.len:
            lines.append(f'    keep("{field.name}", it->{field.name});')
        elif field.type in header.structures and not field.stars and not field.len:
            lines.append(f"    keep_{field.type}(&it->{field.name});")
    return "\n".join([*lines, "}"])


def kept(header, place, variable, count):
    """A statement that remembers what went out."""
    each = f"for (size_t i = 0; a{place} && i < {count}; i++) "
    if variable.type in header.structures and header.sized(variable.type):
        # As much of it as the caller said that it knows.
        return (
            f"if (a{place} && a{place}->size >= sizeof *a{place}) keep_{variable.type}(a{place});"
        )
    if variable.type in header.structures:
        return f"{each}keep_{variable.type}(&a{place}[i]);"
    return f'{each}keep("{variable.name}", a{place}[i]);'


def array(header, variable, count):
    """Memory for `count` elements: filled if they come in, zeros if they go out."""
    kind = variable.type
    if kind == "void":
        return "NULL"
    fill = "NULL"
    if variable.const and kind in header.structures:
        fill = f"(filler)fill_{kind}"
    elif variable.const and kind in SCALARS:
        fill = f"fill_{kind}"
    return f"({kind} *)room({count}, sizeof({kind}), {fill})"


def argument(header, place, variables, counted):
    """The declaration of one argument."""
    variable = variables[place]
    kind, name = variable.type, f"a{place}"
    if place in counted.values():
        bytes_out = variables[place - 1].type == "uint8_t" and not variables[place - 1].const
        return f"size_t {name} = {'draw_bytes' if bytes_out else 'draw_len'}();"
    if variable.stars == 2 and variable.const:
        each = f"sizeof({kind}), (filler)fill_{kind}, USE_IN"
        return f"const {kind} *const *{name} = room_list(a{counted[place]}, {each});"
    if kind in header.objects and variable.stars == 2:
        return f"{kind} **{name} = maybe_null(room_out(sizeof(void *)));"
    if kind in header.objects:
        return f"{kind} *{name} = pick(KIND_{kind});"
    if kind == "rampmeter_error":
        return f"{kind} *{name} = draw_error();"
    if kind.endswith("_fn"):
        return f"{kind} {name} = draw_fn_{kind}();"
    if kind == "char" and variable.const and place not in counted:
        return f"const char *{name} = draw_name();"
    if kind == "char" and variable.const:
        count = f"a{counted[place]}"
        return f"const char *{name} = draw_document(&{count});"
    if kind == "uint8_t" and variable.const and place in counted:
        count = f"a{counted[place]}"
        return f"const uint8_t *{name} = draw_snapshot(&{count});"
    if variable.stars and place in counted:
        count = f"a{counted[place]}"
        return f"{kind} *{name} = maybe_null({array(header, variable, count)});"
    if variable.stars and kind in header.structures and header.sized(kind):
        points = any(field.stars for field in header.structures[kind])
        use = "USE_OUT" if not variable.const else "USE_POINTERS" if points else "USE_IN"
        fill = f"(filler)fill_{kind}"
        return f"{kind} *{name} = maybe_null(room_sized(sizeof({kind}), {fill}, {use}));"
    if variable.stars and variable.const and kind in header.structures:
        return f"{kind} *{name} = maybe_null(room(1, sizeof({kind}), (filler)fill_{kind}));"
    if variable.stars:
        return f"{kind} *{name} = maybe_null(room_out(sizeof({kind})));"
    return f"{kind} {name} = {draw(variable)};"


# What is created with values that a restored object has from its snapshot.
TWIN_VALUES = {"now_ns": "now_ns", "servers": "2", "gpus": "4.0"}


def twin(header, function, lines):
    """Before the bytes are drawn: often they are those of an object that was made just now.

    It was made from what it is to be restored with.
    """
    _, name, variables = function
    kind = name.removesuffix("_restore")
    created = next(v for _, n, v in header.functions if n == f"{kind}_create")
    places = {variable.name: place for place, variable in enumerate(variables)}
    given = [
        f"a{places[v.name]}" if v.name in places and v.name != "out" else TWIN_VALUES.get(v.name)
        for v in created[:-2]
    ]
    bytes_at = places["bytes"]
    at = next(i for i, line in enumerate(lines) if re.search(rf"\ba{bytes_at} =", line))
    length_at = places["len"]
    # The count of the bytes comes first, and what the twin is made of before it.
    own = [i for i, line in enumerate(lines) if re.search(rf"\ba({bytes_at}|{length_at}) =", line)]
    first = [lines[i] for i in own]
    rest = [line for i, line in enumerate(lines) if i not in own]
    cut = next(i for i, line in enumerate(rest) if re.search(rf"\ba{places['out']} =", line))
    made = [
        f"    {kind} *twin = NULL;",
        f"    if (one_in(2) && {kind}_create({', '.join([*given, '&twin', 'NULL'])}) == 0) {{",
        f"        kept_len = save_{kind}(twin, kept, sizeof kept);",
        f"        {kind}_destroy(twin);",
        "    }",
    ]
    assert at in own
    return [*rest[:cut], *made, *first, *rest[cut:]]


def call(header, number, function):
    """A function that calls one of the header."""
    kind, name, variables = function
    counted = counts(variables)
    lines = [f"static void call_{number}(void) {{", f'    begin("{name}");']
    places = sorted(range(len(variables)), key=lambda place: place not in counted.values())
    lines += [f"    {argument(header, place, variables, counted)}" for place in places]
    arguments = ", ".join(f"a{place}" for place in range(len(variables)))
    if name.endswith("_restore"):
        lines[2:] = twin(header, function, lines[2:])
    objects = [p for p, v in enumerate(variables) if v.type in header.objects and v.stars == 1]
    if kind == "rampmeter_status":
        changed = [p for p in objects if not variables[p].const]
        if changed:
            lines.append(f"    note_object(KIND_{variables[changed[0]].type}, a{changed[0]});")
        lines += ["    note_lent();", f"    end({name}({arguments}));"]
        for place, variable in enumerate(variables):
            out = variable.stars == 1 and not variable.const and variable.type != "rampmeter_error"
            if out and (variable.type == "uint64_t" or variable.type in header.structures):
                count = f"a{counted[place]}" if place in counted else "1"
                lines.append(f"    if (accepted_now) {kept(header, place, variable, count)}")
            if variable.stars == 2 and not variable.const:
                lines.append(f"    if (a{place}) created(KIND_{variable.type}, *a{place});")
    elif name.endswith("_destroy"):
        lines.append("    if (!one_in(20)) a0 = NULL;")
        lines += [f"    forget(KIND_{variables[0].type}, a0);", f"    {name}(a0);"]
    else:
        lines.append(f"    (void){name}({arguments});")
    return "\n".join([*lines, "}"])


def main():
    """Prints the file."""
    header = Header(sys.argv[1])
    out = ["enum kind {", *(f"    KIND_{name}," for name in header.objects), "    KINDS", "};"]
    out.append('#include "fuzz.h"')
    out.append('#include "fuzz_good.h"')
    out += [f"static void fill_{name}({name} *it);" for name in header.structures]
    out += [filler(header, name) for name in header.structures]
    out += [f"static void keep_{name}(const {name} *it);" for name in header.structures]
    out += [keeper(header, name) for name in header.structures]
    names = {name for _, name, _ in header.functions}
    for kind in header.objects:
        if f"{kind}_save" in names:
            out.append(
                f"static size_t save_{kind}(const void *object, uint8_t *out, size_t capacity) {{\n"
                f"    size_t written = 0;\n"
                f"    return {kind}_save(object, out, capacity, &written, NULL) ? 0 : written;\n}}"
            )
    out.append("static size_t (*const SAVES[KINDS])(const void *, uint8_t *, size_t) = {")
    out += [f"    [KIND_{k}] = save_{k}," for k in header.objects if f"{k}_save" in names]
    out += ["};", "static void (*const ENDS[KINDS])(void *) = {"]
    out += [f"    [KIND_{k}] = (void (*)(void *)){k}_destroy," for k in header.objects]
    out.append("};")
    out += [call(header, number, f) for number, f in enumerate(header.functions)]
    out.append("static void (*const CALLS[])(void) = {")
    out += [f"    call_{number}," for number in range(len(header.functions))]
    out += ["};", "static const char *const NAMES[] = {"]
    out += [f'    "{name}",' for _, name, _ in header.functions]
    out += ["};", "/* The kind of object that each is called for, and KINDS for none. */"]
    out.append("static const int KIND_OF[] = {")
    for _, _, variables in header.functions:
        is_object = variables and variables[0].type in header.objects and variables[0].stars == 1
        out.append(f"    {'KIND_' + variables[0].type if is_object else 'KINDS'},")
    out += ["};", "/* Which of them can be accepted, and must have been in a long run. */"]
    out.append("static const unsigned char MUST[] = {")
    must = (k == "rampmeter_status" and n not in MAY_FAIL for k, n, _ in header.functions)
    out += [f"    {int(answer)}," for answer in must]
    creates = [
        n
        for n, (_, _, a) in enumerate(header.functions)
        if any(v.stars == 2 and not v.const for v in a)
    ]
    out += ["};", f"enum {{ CREATES_LEN = {len(creates)} }};"]
    out.append(f"static const int CREATES[] = {{{', '.join(map(str, creates))}}};")
    out += ['#include "fuzz.c"', ""]
    print("\n".join(out))


if __name__ == "__main__":
    main()
