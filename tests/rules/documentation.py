"""The documentation: its headings make a tree, its links lead to files, and its statements are true."""

from __future__ import annotations

import functools
import itertools
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

from tests.harness import At, Fact, Problem, agreement, change, file_rule, load, rejects, replace, rule
from tests.rules.extract import AllMatching, Matching, explained_variables, settings
from tests.rules.presence import Need, need_rule

Names = tuple[str, ...]
Problems = Iterator[Problem]
README, OPERATIONS = "README.md", "kubernetes/README.md"
CONFIG = "kubernetes/base/config.env"
# Text between backticks that names a file or folder of the project.
_PATH = re.compile(
    r"(\.circleci|\.github|app|cmd|internal|kubernetes|migrations|reports|scripts|secrets|src|tests)/[\w./-]*"
    r"|(?!\.copier-answers)[\w.-]+\.(md|mk|toml|txt|ya?ml)"
)


class Section(NamedTuple):
    levels: tuple[int, ...]  # of its headings
    links: tuple[str, ...]  # to files, relative to the document
    paths: tuple[str, ...]  # that it names


def sections(text: str) -> Iterator[str]:
    """The parts of a document from one heading of the second level to the next, outside of blocks of code."""
    section = ""
    for piece in re.split("(?m)^(?=## )", text):
        section += piece
        if section.count("\n```") % 2 == 0:
            yield section
            section = ""
    if section:
        yield section


@functools.cache
def parse(text: str) -> Section:
    """What a section holds: thousands of documents have most of theirs in common."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or []]
    targets = [child.attrGet("href") or child.attrGet("src") for child in inline]
    return Section(
        tuple(int(token.tag[1]) for token in tokens if token.type == "heading_open"),
        tuple(str(target) for target in targets if target and not re.match(r"https?:|mailto:|#", str(target))),
        tuple(child.content for child in inline if child.type == "code_inline" and _PATH.fullmatch(child.content)),
    )


@functools.cache
def _needs(path: str, text: str) -> tuple[Need, ...]:
    section, folder = parse(text), posixpath.dirname(path)
    names = [(link, posixpath.normpath(posixpath.join(folder, link.partition("#")[0]))) for link in section.links]
    names += [(name, name.rstrip("/")) for name in section.paths]
    return tuple(
        Need(rf"^{re.escape(target)}(/|$)", Problem(path, f"names {name}, which does not exist", name), target)
        for name, target in dict.fromkeys(names)
        if target != "."
    )


@rejects("a link to nothing", README, replace("## Run", "[a](docs/a.md)\n\n## Run"))
@rejects("a file that does not exist", README, replace("`common.yml`", "`commons.yml`"))
@rejects("a link to nothing before a block that never ends", README, replace("## Run", "[a](docs/a.md)\n\n```\n## Run"))
@need_rule("*.md")
def links_and_paths_lead_to_files(path: str, content: bytes) -> Iterator[Need]:
    """Each link, and each path in the text, leads to a file or folder, or to what git ignores because it is made."""
    for text in sections(content.decode()):
        yield from _needs(path, text)


@rejects("a heading two levels down", README, replace("## Run", "#### Run"))
@rejects("a second title", README, replace("## Run", "# Run"))
@file_rule("*.md")
def headings_make_a_tree(path: str, content: bytes) -> Problems:
    """The first heading is the only title, and none is more than one level below the one before it."""
    levels = [level for text in sections(content.decode()) for level in parse(text).levels]
    if levels[:1] != [1] or levels.count(1) != 1:
        yield Problem(path, "does not start with its only title", "1")
    if any(after > before + 1 for before, after in itertools.pairwise(levels)):
        yield Problem(path, f"leaves out a level of headings: {levels}", "1")


@rejects("an unexplained setting", CONFIG, replace("DATABASE_NAME=app", "DATABASE_NAME=app\nDATABASE_TIMEOUT=1"))
@rejects("a setting that the README leaves out", README, replace("`LOG_LEVEL`", "LOG_LEVEL"))
@rule(configured=Fact(CONFIG, settings), readme=Fact(README, explained_variables))
def settings_are_explained(configured: dict[str, str], readme: Names | None) -> Problems:
    """The README explains each setting of the ConfigMap."""
    for name in configured:
        if name not in (readme or ()):
            yield Problem(README, f"does not explain {name}", "## Configure")


@rejects("a setting that does not exist", README, replace("`LOG_LEVEL`", "`LOG_LEVEL`, `DATABASE_URL`"))
@rule(configured=Fact(CONFIG, settings), texts=Fact("*.md", AllMatching("`(DATABASE_[A-Z_]+)`")))
def explained_settings_exist(configured: dict[str, str], texts: Mapping[str, Names]) -> Problems:
    """The documentation explains no setting of the database that the ConfigMap does not have."""
    for path, names in texts.items():
        for name in names:
            if name not in configured:
                yield Problem(path, f"explains {name}, which nothing sets", f"`{name}`")


@functools.cache
def says(phrase: str) -> Callable[[bytes], bool]:
    """Finds whether a document has a phrase."""
    return lambda content: phrase in content.decode()


def _must(path: str, phrase: str, *, said: bool, is_so: bool) -> Problems:
    if said != is_so:
        yield Problem(path, f"does not say {phrase!r}" if is_so else f"says {phrase!r}, which is not so", phrase)


_LOAD_BALANCER, _NODE_PORT = "address of the load balancer", "of every node in production"


@rejects("another type of the Service", "kubernetes/base/service.yaml", change("spec.type", "LoadBalancer"))
@rejects("an address that the README leaves out", README, replace(_NODE_PORT, "of each node"))
@rule(
    kind=Fact("kubernetes/base/service.yaml", At("spec.type")),
    load_balancer=Fact(README, says(_LOAD_BALANCER)),
    node_port=Fact(README, says(_NODE_PORT)),
)
def the_readme_says_how_the_service_is_reached(kind: str, load_balancer: bool, node_port: bool) -> Problems:
    """The README describes a load balancer or a NodePort exactly if the Service has that type."""
    yield from _must(README, _LOAD_BALANCER, said=load_balancer, is_so=kind == "LoadBalancer")
    yield from _must(README, _NODE_PORT, said=node_port, is_so=kind == "NodePort")


_ONE, _SEVERAL = "With one replica", "the others keep serving"
_AUTOSCALER = "kubernetes/base/horizontalpodautoscaler.yaml"


@rejects("another number of replicas than the documentation tells of", _AUTOSCALER, change("spec.minReplicas", 1))
@rejects("one replica and several in the documentation", OPERATIONS, replace(_SEVERAL, f"{_SEVERAL}. {_ONE}"))
@rejects("documentation that leaves out what drains do", OPERATIONS, replace(_SEVERAL, "others serve"))
@rule(
    replicas=Fact("kubernetes/base/deployment.yaml", At("spec.replicas")),
    least=Fact(_AUTOSCALER, At("spec.minReplicas")),
    one=Fact(OPERATIONS, says(_ONE)),
    several=Fact(OPERATIONS, says(_SEVERAL)),
)
def the_documentation_says_what_a_drain_interrupts(
    replicas: int | None, least: int | None, one: bool, several: bool
) -> Problems:
    """The documentation describes the effect of a drain on one replica or several."""
    is_one = (least or replicas) == 1
    yield from _must(OPERATIONS, _ONE, said=one, is_so=is_one)
    yield from _must(OPERATIONS, _SEVERAL, said=several, is_so=not is_one)


host = agreement(
    "host",
    {
        "kubernetes/base/ingress.yaml": At("spec.rules.0.host"),
        "kubernetes/base/httproute.yaml": At("spec.hostnames.0"),
        README: Matching(r" serves (\S+) in production and staging\.\S+ in staging"),
    },
)
host.rejects("another host of the Ingress", README, replace("The Ingress serves shop.", "The Ingress serves shops."))
host.rejects("another host of the HTTPRoute", README, replace("HTTPRoute serves shop.", "HTTPRoute serves shops."))


def _certificate(content: bytes) -> Any:
    """The Secret of an Ingress that no ClusterIssuer makes."""
    is_issued = "cert-manager.io/cluster-issuer" in load(content)["metadata"].get("annotations", {})
    return None if is_issued else At("spec.tls.0.secretName")(content)


certificate = agreement(
    "Secret of the certificate",
    {"kubernetes/base/ingress.yaml": _certificate, README: Matching("create secret tls (\\S+) ")},
)
certificate.rejects("another certificate", "kubernetes/base/ingress.yaml", change("spec.tls.0.secretName", "a-tls"))
