#!/usr/bin/env python3
"""Write the table of fields by which objects of Kubernetes are read from etcd, from the sources of Kubernetes' API.

    tools/kubernetes_fields.py MODULE [MODULE ...]

Each MODULE is the folder of one Go module with its version in its name, newest first, as ``go mod download`` leaves
it: ``k8s.io/api@v0.37.2``, and of the same version ``apimachinery``, ``apiextensions-apiserver``, ``kube-aggregator``;
then an old ``k8s.io/api``, so that what was removed since can still be read. Taken from them are facts alone (numbers,
names and types of fields, and which are left out of JSON when empty), no prose and no code:

* ``generated.proto``: each message's fields, as they are on the wire;
* the Go structs beside it: the name in JSON, whether it is a pointer, inlined, ``omitempty`` or ``omitzero``;
* ``register.go``: the group and version, and the kinds in it.

A field is ``[number, name in JSON, type, flags]``, in the order of the Go struct, which is the order of the JSON. Types
are those of proto; a message is named alone within its package and with a dot and its package from elsewhere. Flags:
``r`` repeated, ``m`` map from string, ``p`` pointer, ``o`` omitempty, ``z`` omitzero, ``i`` inlined, ``a`` known to the
older modules only. A message that is a list in JSON is ``"list"`` and the type of its items. The same input gives the
same bytes.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

OUTPUT = Path(__file__).resolve().parent.parent / "src/backstay/tiers/etcd/kube/fields.json"
LEFT_OUT = {"testapigroup"}  # folders of types that no cluster has
PLAIN = {"string", "bytes", "bool", "int32", "int64", "uint32", "double"}

COMMENT = re.compile(r"^[ \t]*//[^\n]*$|/\*.*?\*/", re.MULTILINE | re.DOTALL)
MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
MEMBER = re.compile(r"^ +(?:(optional|repeated) +([\w.]+)|map<string, *([\w.]+)>) +(\w+) *= *(\d+);", re.MULTILINE)
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
SLICE = re.compile(r"^type (\w+) \[\]", re.MULTILINE)
GO_FIELD = re.compile(r"^\s+(?:(\w+)\s+)?([*\[\]\w.]+)\s+`([^`]*)`", re.MULTILINE)
TAG = re.compile(r'(\w+):"([^"]*)"')
GROUP = re.compile(r'\bGroupName\s*=\s*"([^"]*)"')
KIND = re.compile(r"&(\w+)\{\}")

Row = tuple[int, str, str, str]


class NotUnderstood(Exception):
    """The sources hold something that this program, or the reader of its table, does not know."""


@dataclass
class Package:
    """One version of one API group: a folder with a ``generated.proto``."""

    name: str  # k8s.io.api.apps.v1
    messages: dict[str, list[Row] | str] = field(default_factory=dict)  # rows; or of what a list's items are
    group_version: str | None = None
    kinds: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class GoField:
    """What a struct says of one field on the wire."""

    json: str
    pointer: bool
    inline: bool
    options: frozenset[str]


def read_package(proto: Path) -> Package:
    """The messages of a proto file, with what the Go files beside it say of their JSON."""
    text = COMMENT.sub("", proto.read_text())
    match = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
    if match is None:
        raise NotUnderstood(f"{proto} names no package")
    package = Package(match[1])
    structs, slices = read_go(proto.parent)
    for name, body in MESSAGE.findall(text):
        rows = message_rows(f"{package.name}.{name}", body, structs.get(name, {}))
        if name in slices:
            if len(rows) != 1 or "r" not in rows[0][3]:
                raise NotUnderstood(f"{package.name}.{name} is a list with other fields than its items")
            package.messages[name] = rows[0][2]
        else:
            package.messages[name] = in_order(rows, list(structs.get(name, {})))
    register = proto.parent / "register.go"
    if register.exists() and (group := GROUP.search(register.read_text())):
        version = proto.parent.name
        package.group_version = f"{group[1]}/{version}" if group[1] else version
        names = dict.fromkeys(KIND.findall(register.read_text()))
        package.kinds = [kind for kind in names if has_metadata(package.messages.get(kind))]
    return package


def in_order(rows: list[Row], order: list[int]) -> list[Row]:
    """The fields as they stand in the struct; those that stand in none come last, by number."""
    return sorted(rows, key=lambda row: order.index(row[0]) if row[0] in order else len(order) + row[0])


def has_metadata(rows: list[Row] | str | None) -> bool:
    """Only what has a name of its own can be stored; lists and options are sent, not kept."""
    return isinstance(rows, list) and any(row[1] == "metadata" and row[2].endswith("ObjectMeta") for row in rows)


def message_rows(message: str, body: str, members: dict[int, GoField]) -> list[Row]:
    """The fields of one message."""
    rows: list[Row] = []
    covered = MEMBER.sub("", body)
    if covered.strip():
        raise NotUnderstood(f"{message}: {covered.split()[:6]}")
    for label, single, value, name, number in MEMBER.findall(body):
        go = members.get(int(number)) or GoField(name, pointer=False, inline=False, options=frozenset())
        kind = single or value
        kind = f".{kind}" if "." in kind and not kind.startswith(".") else kind  # whole, as older files write it
        flags = "r" if label == "repeated" else "m" if value else ""
        flags += "p" if go.pointer and not flags else ""
        flags += "o" if "omitempty" in go.options and not go.inline else ""
        flags += "z" if "omitzero" in go.options else ""
        flags += "i" if go.inline else ""
        if "z" in flags and not kind.endswith("Time"):
            raise NotUnderstood(f"{message}.{name}: omitzero is known for times alone")
        if "i" in flags and flags != "i":
            raise NotUnderstood(f"{message}.{name}: inlined, and {flags}")
        if "." not in kind and not kind[0].isupper() and kind not in PLAIN:
            raise NotUnderstood(f"{message}.{name}: {kind}")
        rows.append((int(number), go.json, kind, flags))
    return rows


def read_go(folder: Path) -> tuple[dict[str, dict[int, GoField]], set[str]]:
    """The structs with numbered fields in a folder, and the types that are lists of something."""
    structs: dict[str, dict[int, GoField]] = {}
    slices: set[str] = set()
    for path in sorted(folder.glob("*.go")):
        if path.name.endswith("_test.go") or path.name.startswith(("generated", "zz_generated")):
            continue
        text = COMMENT.sub("", path.read_text())
        slices |= set(SLICE.findall(text))
        for name, body in STRUCT.findall(text):
            if members := dict(go_fields(body)):
                structs[name] = members
    return structs, slices


def go_fields(body: str) -> list[tuple[int, GoField]]:
    """Number and JSON form of each field of a struct that goes over the wire."""
    found = []
    for name, kind, tags in GO_FIELD.findall(body):
        tag = dict(TAG.findall(tags))
        if tag.get("protobuf", "-") == "-":
            continue
        number = int(tag["protobuf"].split(",")[1])
        json_name, *options = tag.get("json", "").split(",")
        inline = not name and not json_name
        go = GoField(json_name or name, kind.startswith("*"), inline, frozenset(options))
        found.append((number, go))
    return found


def merge(into: dict[str, Package], package: Package) -> None:
    """Add what only the older sources have: whole packages, kinds, messages, and fields whose number is free."""
    known = into.get(package.name)
    if known is None:
        into[package.name] = package
        return
    known.kinds += [kind for kind in package.kinds if kind not in known.kinds]
    for name, rows in package.messages.items():
        newer = known.messages.setdefault(name, rows)
        if newer is rows or isinstance(newer, str) or isinstance(rows, str):
            continue
        numbers, names = {row[0] for row in newer}, {row[1] for row in newer}
        for number, json_name, kind, flags in rows:
            if number not in numbers and json_name not in names and "i" not in flags:
                newer.append((number, json_name, kind, flags + "a"))


def table(modules: list[Path]) -> dict[str, object]:
    """The whole table, from the newest module to the oldest."""
    packages: dict[str, Package] = {}
    for module in modules:
        protos = sorted(module.rglob("generated.proto"))
        if not protos:
            raise NotUnderstood(f"{module} has no generated.proto")
        for proto in protos:
            if not LEFT_OUT & set(proto.parts):
                merge(packages, read_package(proto))
    for package in packages.values():
        check_types(package, packages)
    return {
        "sources": [f"k8s.io/{module.name.replace('@', ' ')}" for module in modules],
        "kinds": {p.group_version: [p.name, p.kinds] for _, p in sorted(packages.items()) if p.kinds},
        "packages": {
            name: {
                message: ["list", rows] if isinstance(rows, str) else [list(row) for row in rows]
                for message, rows in sorted(package.messages.items())
            }
            for name, package in sorted(packages.items())
            if package.messages
        },
    }


def check_types(package: Package, packages: dict[str, Package]) -> None:
    """Every type that a field names must be in the table."""
    for message, rows in package.messages.items():
        kinds = [rows] if isinstance(rows, str) else [row[2] for row in rows]
        for kind in kinds:
            home, _, name = kind.lstrip(".").rpartition(".")
            if kind not in PLAIN and name not in packages[home or package.name].messages:
                raise NotUnderstood(f"{package.name}.{message} has a field of {kind}, which is nowhere")


def written(content: dict[str, object]) -> str:
    """The table as JSON with one message a line, so that a change can be read."""
    compact = (",", ":")
    lines = [f'{{"sources":{json.dumps(content["sources"])},']
    kinds, packages = content["kinds"], content["packages"]
    if not isinstance(kinds, dict) or not isinstance(packages, dict):
        raise TypeError("not a table")
    rows = [f"{json.dumps(name)}:{json.dumps(value, separators=compact)}" for name, value in kinds.items()]
    lines.append('"kinds":{\n' + ",\n".join(rows) + "\n},")
    blocks = []
    for name, messages in packages.items():
        rows = [f"{json.dumps(key)}:{json.dumps(value, separators=compact)}" for key, value in messages.items()]
        blocks.append(f"{json.dumps(name)}:{{\n" + ",\n".join(rows) + "\n}")
    lines.append('"packages":{\n' + ",\n".join(blocks) + "\n}}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the table; exit 1, with nothing written, where the sources are not understood."""
    parser = argparse.ArgumentParser(description="Write the table of fields of Kubernetes' objects.")
    parser.add_argument("module", nargs="+", type=Path, help="folder of a Go module, newest first")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    try:
        text = written(table(options.module))
    except NotUnderstood as error:
        print(error, file=sys.stderr)
        return 1
    options.output.write_text(text)
    print(f"{options.output}: {len(text):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
