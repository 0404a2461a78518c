"""Writes the table of questions in README.md from copier.yml: `python -m tests.tools.docs`."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.template import ROOT

README = ROOT / "README.md"
SECTION = re.compile(r"(<!-- questions: .* -->\n).*(<!-- end of questions -->\n)", re.DOTALL)

# Defaults and conditions that are computed, in words.
DEFAULTS = {
    "project_name": "the folder's name",
    "service_name": "from `project_name`",
    "namespace": "`service_name`",
    "secret_store": "`service_name`",
    "ingress_namespace": "`traefik`, or the Gateway's",
    "max_replicas": "three times `replicas`",
    "storage_class": "the cluster's",
}
# What the expressions of `when` mean, in words; a condition is several of them joined by "and".
CONDITIONS = {
    "customize": "with `customize`",
    "exposure == 'nodeport'": "a NodePort",
    "exposure == 'ingress'": "an Ingress",
    "exposure == 'gateway'": "the Gateway API",
    "exposure in ['ingress', 'gateway']": "an Ingress or the Gateway API",
    "tls": "`tls`",
    "autoscaling": "`autoscaling`",
    "cluster == 'kops'": "kOps",
    "cluster == 'existing'": "an existing cluster",
    "database != 'none'": "a database",
    "database_hosting == 'in-cluster'": "which runs in the cluster",
    "database_hosting == 'external'": "which is external",
    "secrets == 'external-secrets'": "the External Secrets Operator",
    "log_agent": "`log_agent`",
}


def questions() -> dict[str, dict[str, Any]]:
    """Return what people are asked, in the order of copier.yml: no settings, no computed values."""
    loaded = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    return {name: item for name, item in loaded.items() if not name.startswith("_") and item.get("when") is not False}


def condition(when: str) -> str:
    """Return in words when a question is asked.

    Args:
        when: the expression of copier.yml.

    Raises:
        KeyError: an expression has no words in this module yet.

    """
    words = [CONDITIONS[part] for part in when.removeprefix("{{ ").removesuffix(" }}").split(" and ")]
    first = words[0] if words[0].startswith("with ") else f"with {words[0]}"
    return " and ".join([first, *words[1:]]).replace(" and which", ", which")


def table() -> str:
    """Return the questions as a Markdown table.

    Raises:
        KeyError: a computed default or condition has no words in this module yet.

    """
    lines = ["| question | what it asks | values | default |", "|---|---|---|---|"]
    for name, item in questions().items():
        text = " ".join(item["help"].split())
        if "when" in item:
            text += f" Asked {condition(item['when'])}."
        choices = item.get("choices", {})
        values = ", ".join(f"`{value}`" for value in choices.values()) or {"str": "text", "int": "number"}.get(
            item["type"], "`true`, `false`"
        )
        default = str(item["default"])
        if "{{" in default:
            default = DEFAULTS.get(name) or "`" + re.sub(r"{{ (\w+) }}", r"<\1>", default) + "`"
        elif not default:
            default = "none"
        else:
            default = f"`{default.lower() if item['type'] == 'bool' else default}`"
        lines.append(f"| `{name}` | {text} | {values} | {default} |")
    return "\n".join(lines) + "\n"


def rewrite(text: str) -> str:
    """Return the README with its table made anew.

    Raises:
        ValueError: the markers of the table are not in the text.

    """
    rewritten, count = SECTION.subn(lambda match: match[1] + "\n" + table() + "\n" + match[2], text)
    if count != 1:
        raise ValueError("README.md has no table of questions between its two markers")
    return rewritten


if __name__ == "__main__":
    README.write_text(rewrite(README.read_text(encoding="utf-8")), encoding="utf-8")
