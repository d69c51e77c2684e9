#!/usr/bin/env python3
"""Writes fixtures/templates.json: what Python's Jinja2 makes of real chat templates; and the
second half of each entry of fixtures/snippets.json: what it makes of small templates.

usage: make_template_goldens.py TEMPLATES_DIR    (needs jinja2 and transformers)

Each template is rendered for each conversation of fixtures/conversations.json by
transformers' own render_jinja_template, with the clock frozen. The fixture holds the length in
characters and the SHA-256 of each text, or null where Jinja2 raises.
"""

import datetime
import hashlib
import json
import pathlib
import sys

from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent / "fixtures"


def freeze(seconds):
    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(seconds, datetime.timezone.utc)

    chat_template_utils.datetime = Frozen


def render(source, case):
    texts, _ = chat_template_utils.render_jinja_template(
        conversations=[case["messages"]],
        tools=case.get("tools"),
        documents=case.get("documents"),
        chat_template=source,
        add_generation_prompt=case.get("add_generation_prompt", False),
        **case.get("extra", {}),
    )
    return texts[0]


def write_snippets(fixture):
    path = HERE / "snippets.json"
    case = {**fixture["cases"]["system"], "extra": fixture["special"]}
    entries = []
    for source, _ in json.loads(path.read_text(encoding="utf-8")):
        try:
            expected = render(source, case)
        except Exception as error:
            print(f"raises: {source!r}: {error!r}")
            expected = None
        entries.append(json.dumps([source, expected], ensure_ascii=False))
    path.write_text("[\n" + ",\n".join(entries) + "\n]\n", encoding="utf-8")
    print(f"{len(entries)} snippets")


def main():
    fixture = json.loads((HERE / "conversations.json").read_text(encoding="utf-8"))
    freeze(fixture["now"])
    write_snippets(fixture)
    dump = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    result = {}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        row = {}
        for name, case in fixture["cases"].items():
            case = json.loads(json.dumps(case))
            case["extra"] = {**fixture["special"], **case.get("extra", {})}
            try:
                text = render(source, case)
            except Exception as error:
                row[name] = None
                if dump:
                    (dump / f"{path.stem}.{name}.error").write_text(repr(error))
                continue
            digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
            row[name] = [len(text), digest]
            if dump:
                (dump / f"{path.stem}.{name}.txt").write_text(text, encoding="utf-8")
        result[path.name] = row
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in result.items()]
    (HERE / "templates.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    done = [cell for row in result.values() for cell in row.values()]
    raised = sum(cell is None for cell in done)
    print(f"{len(result)} templates, {len(done)} renderings, {raised} of them raise")


main()
