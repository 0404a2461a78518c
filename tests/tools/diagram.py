"""Draws what is rendered, and where it runs, as a picture for the README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import yaml

from tests.rules.ci.providers import jobs_of

LINE, HEADING, WIDTH = 16, 30, 176
"""Pixels: a line of text, the heading of a box, and its width."""
GAP, ROW = 90, 40
"""Pixels between columns and rows."""

FOLDERS = ("kubernetes/base/", "kubernetes/database/", "kubernetes/namespace/")
"""Where the resources of the service are."""


class Box(NamedTuple):
    """A box with a heading and lines of text, and the position of its left upper corner."""

    x: int
    y: int
    heading: str
    lines: Sequence[str]

    @property
    def height(self) -> int:
        """Of the whole box, in pixels."""
        return HEADING + LINE * len(self.lines) + 10

    def draw(self) -> str:
        """Return its SVG."""
        lines = "".join(
            f'<text x="{self.x + 12}" y="{self.y + HEADING + LINE * number + 10}">{escape(line)}</text>\n'
            for number, line in enumerate(self.lines)
        )
        return (
            f'<rect x="{self.x}" y="{self.y}" width="{WIDTH}" height="{self.height}" rx="6"/>\n'
            f'<text x="{self.x + 12}" y="{self.y + 20}" class="heading">{escape(self.heading)}</text>\n{lines}'
        )


def arrow(x: int, y: int, label: str) -> str:
    """Return the SVG of an arrow to the next column."""
    end = x + GAP - 8
    return (
        f'<path d="M{x + 4} {y}H{end}m-7-4l7 4l-7 4"/>\n'
        f'<text x="{x + GAP / 2:g}" y="{y - 6}" class="label">{escape(label)}</text>\n'
    )


def arrow_down(x: int, y: int, label: str) -> str:
    """Return the SVG of an arrow to the box below."""
    return (
        f'<path d="M{x} {y + 4}V{y + ROW - 8}m-4-7l4 7l4-7"/>\n'
        f'<text x="{x + 10}" y="{y + ROW / 2:g}" style="text-anchor:start" class="label">{escape(label)}</text>\n'
    )


def draw(files: Mapping[str, bytes]) -> str:
    """Return the picture of a project from its files: the jobs of its CI, its image, services and resources."""
    roots = {path.partition("/")[0] + "/" * ("/" in path) for path in files}
    shown = sorted(root for root in roots if not root.startswith(".") or root == ".circleci/")
    compose = yaml.safe_load(files["docker-compose.yml"])
    production = yaml.safe_load(files["prod.yml"])
    image = str(production["services"]["app"]["image"]).partition(":$")[0]
    x = [4 + column * (WIDTH + GAP) for column in range(4)]

    project = Box(x[0], 4, str(production["name"]), shown)
    ci = Box(x[1], 4, "CI", [job.name for job in jobs_of(files)])
    development = Box(x[1], ci.y + ci.height + ROW, "docker-compose.yml", list(compose["services"]))
    name, _, repository = image.rpartition("/")
    registry = Box(x[2], 4, "Registry", [f"{name}/", repository, ":<commit hash>", ":latest"])
    host = Box(x[2], registry.y + registry.height + ROW, "prod.yml", list(production["services"]))
    cluster = Box(x[3], 4, "Kubernetes", kinds(files))

    boxes = [project, ci, development, registry, host, cluster]
    middle = HEADING - 10
    right = project.x + WIDTH
    arrows = [
        arrow(right, ci.y + middle, "git push"),
        arrow(right, development.y + middle, "make up"),
        arrow_down(registry.x + WIDTH // 2, host.y - ROW, "one host or Swarm"),
        arrow(ci.x + WIDTH, registry.y + middle, "docker push"),
        arrow(registry.x + WIDTH, cluster.y + middle, "make deploy"),
    ]
    height = max(box.y + box.height for box in boxes) + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{x[3] + WIDTH + 4}" height="{height}" '
        'font-family="sans-serif" font-size="12">\n'
        "<style>rect{fill:#fff;stroke:#8c959f}path{fill:none;stroke:#57606a}"
        "text{fill:#1f2328}.heading{font-weight:bold}.label{fill:#57606a;font-size:11px;text-anchor:middle}</style>\n"
        '<rect width="100%" height="100%" style="stroke:none"/>\n'
        f"{''.join(box.draw() for box in boxes)}{''.join(arrows)}</svg>\n"
    )


def kinds(files: Mapping[str, bytes]) -> list[str]:
    """Return the kinds of the resources in the order of their folders, each once."""
    found: dict[str, None] = {}
    for path in sorted(files):
        if path.startswith(FOLDERS) and path.endswith(".yaml"):
            for document in yaml.safe_load_all(files[path]):
                found[document["kind"]] = None
    return [kind for kind in found if kind not in {"Kustomization", "Component"}]
