"""Alerts and dashboard: each alert fires when it should and only then, and what they ask the service for exists."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import copier
import pytest
import yaml

from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.servers import find
from tests.e2e.requirements import skip_unless_available

FULL = {"database": "postgres", "autoscaling": True}
PLAIN = {"database": "none", "autoscaling": False}
DATABASE = {"DatabaseVolumeFilling", "DatabaseBackupMissing", "DatabaseBackupFailed", "DatabaseBackupUnverified"}

OURS = "http_request_duration_seconds"
TARGET = {"namespace", "job"}
"""Labels that Prometheus adds to what it reads."""

OTHERS = {
    # https://github.com/kubernetes/kube-state-metrics/tree/main/docs/metrics
    "kube_cronjob_created",
    "kube_cronjob_status_last_successful_time",
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_ready",
    "kube_horizontalpodautoscaler_spec_max_replicas",
    "kube_horizontalpodautoscaler_spec_min_replicas",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_job_failed",
    "kube_job_status_start_time",
    "kube_pod_container_resource_limits",
    "kube_pod_container_resource_requests",
    "kube_pod_container_status_restarts_total",
    # The kubelet: https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md
    "container_cpu_usage_seconds_total",
    "container_memory_rss",
    "container_memory_working_set_bytes",
    # https://kubernetes.io/docs/reference/instrumentation/metrics/
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    # Prometheus itself
    "up",
}


class Case(NamedTuple):
    """What Prometheus has read, a value a minute in its own notation, and whether the alert fires then."""

    what: str
    alert: str
    fires: bool
    minute: int
    series: dict[str, str]
    answers: dict[str, Any]


POD = "namespace='shop-production', pod='shop-1', container='shop'"
DEPLOYMENT = "namespace='shop-production', deployment='shop'"
READY = f"kube_deployment_status_replicas_ready{{{DEPLOYMENT}}}"
WANTED = f"kube_deployment_spec_replicas{{{DEPLOYMENT}}}"
SCALER = "namespace='shop-production', horizontalpodautoscaler='shop'"
NOW, MOST, LEAST = (
    f"kube_horizontalpodautoscaler_{name}_replicas{{{SCALER}}}" for name in ("status_current", "spec_max", "spec_min")
)
REQUESTS = "namespace='shop-production', job='shop-metrics', method='GET'"
GOOD = f"{OURS}_count{{{REQUESTS}, route='/items', status='200'}}"
BAD = f"{OURS}_count{{{REQUESTS}, route='/items', status='503'}}"
PROBE = f"{OURS}_count{{{REQUESTS}, route='/readyz', status='503'}}"
FAST, SLOW, ALL = (f"{OURS}_bucket{{{REQUESTS}, route='/items', status='200', le='{le}'}}" for le in (1.0, 2.5, "+Inf"))
RESTARTS = f"kube_pod_container_status_restarts_total{{{POD}}}"
CPU_USED = f"container_cpu_usage_seconds_total{{{POD}}}"
CPU_REQUESTED = f"kube_pod_container_resource_requests{{{POD}, resource='cpu'}}"
MEMORY_USED = f"container_memory_rss{{{POD}}}"
MEMORY_LIMIT = f"kube_pod_container_resource_limits{{{POD}, resource='memory'}}"
VOLUME = "namespace='shop-production', persistentvolumeclaim='data-shop-database-0'"
FREE, CAPACITY = (f"kubelet_volume_stats_{name}_bytes{{{VOLUME}}}" for name in ("available", "capacity"))
CRONJOB = "namespace='shop-production', cronjob='shop-backup'"
SUCCEEDED, CREATED = f"kube_cronjob_status_last_successful_time{{{CRONJOB}}}", f"kube_cronjob_created{{{CRONJOB}}}"
VERIFIED, VERIFY_CREATED = (series.replace("shop-backup", "shop-verify") for series in (SUCCEEDED, CREATED))
JOB = "namespace='shop-production', job_name='shop-backup-1'"
STARTED, FAILED = f"kube_job_status_start_time{{{JOB}}}", f"kube_job_failed{{{JOB}, condition='true'}}"


def of(series: str, **labels: str) -> str:
    """Return a series with other labels."""
    for name, value in labels.items():
        series = re.sub(rf"\b{name}='[^']*'", f"{name}='{value}'", series)
    return series


UP = "up{namespace='shop-production', job='shop-metrics', pod='shop-1'}"
DAY = 24 * 60
TWO_DAYS, NINE_DAYS = f"0x{2 * DAY}", f"0x{9 * DAY}"
LATE = f"0x{7 * DAY} {7 * DAY * 60}x{2 * DAY}"
BEHIND_PROBES = [of(series, route="/livez") for series in (FAST, SLOW, ALL)]

CASES = [
    Case(what, alert, fires, minute, series, PLAIN if alert == "ServiceCpuSaturated" else FULL)
    for alert, cases in {
        "ServiceNotMeasured": [
            ("staging alone is there", True, 10, {of(UP, namespace="shop-staging"): "1x20"}),
            ("another service alone is there", True, 10, {of(UP, job="other"): "1x20"}),
            ("all are down", True, 10, {UP: "0x20"}),
            ("one of two is down", False, 10, {UP: "0x20", of(UP, pod="shop-2"): "1x20"}),
            ("down for three minutes", False, 13, {UP: "1x9 0x3 1x9"}),
        ],
        "ServiceUnavailable": [
            ("none is ready", True, 5, {READY: "0x10"}),
            ("none is ready for a minute", False, 5, {READY: "1x4 0x6"}),
            ("one is ready", False, 5, {READY: "1x10"}),
        ],
        "ServicePodsMissing": [
            ("one of two", True, 20, {READY: "1x20", WANTED: "2x20"}),
            ("two of two", False, 20, {READY: "2x20", WANTED: "2x20"}),
            ("one of two during a deploy", False, 20, {READY: "2x10 1x10", WANTED: "2x20"}),
        ],
        "ServiceErrors": [
            ("a tenth of all requests", True, 60, {GOOD: "0+90x60", BAD: "0+10x60"}),
            ("all requests since four minutes", True, 60, {GOOD: "0+90x56 5040x4", BAD: "0x56 90+90x4"}),
            ("a hundredth of all requests", False, 60, {GOOD: "0+99x60", BAD: "0+1x60"}),
            ("a blip", False, 60, {GOOD: "0+100x60", BAD: "0x58 30+30x2"}),
            ("over since half an hour", False, 60, {GOOD: "0+100x60", BAD: "0+100x30 3000x30"}),
            ("probes alone", False, 60, {GOOD: "0+100x60", PROBE: "0+100x60"}),
            ("no request at all", False, 60, {GOOD: "100x60", BAD: "100x60"}),
        ],
        "ServiceSlow": [
            ("two in a hundred", True, 20, {FAST: "0+98x20", SLOW: "0+100x20", ALL: "0+100x20"}),
            ("probes alone", False, 20, dict(zip(BEHIND_PROBES, ("0+98x20", "0+100x20", "0+100x20"), strict=True))),
            ("one in two hundred", False, 20, {FAST: "0+199x20", SLOW: "0+200x20", ALL: "0+200x20"}),
            ("since five minutes", False, 20, {FAST: "0+98x20", SLOW: "0+98x15 1475+103x5", ALL: "0+98x15 1475+103x5"}),
        ],
        "ServiceAtMaximum": [
            ("at its maximum", True, 20, {NOW: "6x20", MOST: "6x20", LEAST: "2x20"}),
            ("one below it", False, 20, {NOW: "5x20", MOST: "6x20", LEAST: "2x20"}),
            ("at it since ten minutes", False, 20, {NOW: "5x10 6x10", MOST: "6x20", LEAST: "2x20"}),
            ("nothing to scale", False, 20, {NOW: "6x20", MOST: "6x20", LEAST: "6x20"}),
        ],
        "ServiceCpuSaturated": [
            ("all of it", True, 30, {CPU_USED: "0+6x30", CPU_REQUESTED: "0.1x30"}),
            ("all of it since five minutes", False, 30, {CPU_USED: "0x25 6+6x5", CPU_REQUESTED: "0.1x30"}),
            (
                "another container",
                False,
                30,
                {of(CPU_USED, container="other"): "0+6x30", of(CPU_REQUESTED, container="other"): "0.1x30"},
            ),
            ("half of it", False, 30, {CPU_USED: "0+3x30", CPU_REQUESTED: "0.1x30"}),
        ],
        "ContainerRestarting": [
            ("five times", True, 10, {RESTARTS: "0+0.5x20"}),
            ("once", False, 10, {RESTARTS: "0x5 1x15"}),
            ("long ago", False, 60, {RESTARTS: "0+1x10 10x60"}),
        ],
        "ContainerMemoryNearLimit": [
            ("nearly all", True, 20, {MEMORY_USED: "245x20", MEMORY_LIMIT: "256x20"}),
            ("three quarters", False, 20, {MEMORY_USED: "192x20", MEMORY_LIMIT: "256x20"}),
            ("a peak", False, 20, {MEMORY_USED: "192x15 250x5", MEMORY_LIMIT: "256x20"}),
        ],
        "DatabaseVolumeFilling": [
            ("a tenth is left", True, 20, {FREE: "1x20", CAPACITY: "10x20"}),
            ("a tenth is left for a moment", False, 20, {FREE: "5x15 1x5", CAPACITY: "10x20"}),
            ("a fifth is left", False, 20, {FREE: "2x20", CAPACITY: "10x20"}),
        ],
        "DatabaseBackupMissing": [
            ("a night missed", True, 27 * 60, {SUCCEEDED: TWO_DAYS, CREATED: TWO_DAYS}),
            ("never one", True, 27 * 60, {CREATED: TWO_DAYS}),
            ("a slow night", False, 25 * 60, {SUCCEEDED: TWO_DAYS, CREATED: TWO_DAYS}),
            ("every night", False, 27 * 60, {SUCCEEDED: f"0x{DAY} {DAY * 60}x{DAY}", CREATED: TWO_DAYS}),
            ("never a restore", False, 27 * 60, {of(CREATED, cronjob="shop-restore"): TWO_DAYS}),
        ],
        "DatabaseBackupUnverified": [
            ("more than a week ago", True, 9 * DAY, {VERIFIED: NINE_DAYS, VERIFY_CREATED: NINE_DAYS}),
            ("never", True, 9 * DAY, {VERIFY_CREATED: NINE_DAYS}),
            ("a week ago", False, 7 * DAY, {VERIFIED: NINE_DAYS, VERIFY_CREATED: NINE_DAYS}),
            ("every week", False, 9 * DAY, {VERIFIED: LATE, VERIFY_CREATED: NINE_DAYS}),
            ("backups alone", True, 9 * DAY, {SUCCEEDED: LATE, VERIFY_CREATED: NINE_DAYS}),
        ],
        "DatabaseBackupFailed": [
            ("after a good one", True, 20, {SUCCEEDED: "60x20", STARTED: "300x20", FAILED: "1x20"}),
            ("the first", True, 20, {CREATED: "60x20", STARTED: "300x20", FAILED: "1x20"}),
            ("before a good one", False, 20, {SUCCEEDED: "600x20", STARTED: "300x20", FAILED: "1x20"}),
            (
                "it goes on",
                False,
                20,
                {SUCCEEDED: "60x20", STARTED: "300x20", FAILED: "0x20", of(FAILED, condition="false"): "1x20"},
            ),
            (
                "a restore",
                False,
                20,
                {
                    SUCCEEDED: "60x20",
                    of(STARTED, job_name="shop-restore-1"): "300x20",
                    of(FAILED, job_name="shop-restore-1"): "1x20",
                },
            ),
        ],
    }.items()
    for what, fires, minute, series in cases
]


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own checker."""
    with skip_unless_available():
        return find("promtool", "prometheus")


class Watched:
    """A rendered project with monitoring."""

    def __init__(self, template: Path, path: Path, answers: dict[str, Any]) -> None:
        self.path = path
        copier.run_copy(
            str(template),
            path,
            data={"project_name": 'The "Shop"', "service_name": "shop", "customize": True, "monitoring": True}
            | answers,
            defaults=True,
            quiet=True,
            settings=copier.Settings(),
        )
        self.spec = yaml.safe_load(self.read("overlays/production/prometheusrule.yaml"))["spec"]
        self.dashboard = json.loads(self.read("monitoring/dashboard.json"))
        self.alerts = {rule["alert"]: rule for group in self.spec["groups"] for rule in group["rules"]}
        (path / "rules.json").write_text(json.dumps(self.spec), encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.path / "kubernetes" / name).read_text(encoding="utf-8")

    def expressions(self) -> list[str]:
        """Return every question to Prometheus."""
        panels = [target["expr"] for panel in self.dashboard["panels"] for target in panel["targets"]]
        return [rule["expr"] for rule in self.alerts.values()] + panels + self.variables()

    def variables(self) -> list[str]:
        """Return the questions whose answers are the choices of the dashboard's variables."""
        found = [item["query"] for item in self.dashboard["templating"]["list"] if item["type"] == "query"]
        return [re.sub(r"label_values\((.*), (\w+)\)", r"sum by (\2) (\1)", query) for query in found]


@pytest.fixture(scope="session")
def watched(working_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Watched]:
    """Two projects that have every alert between them, and one whose database is external."""
    external = FULL | {"database_hosting": "external"}
    return {
        name: Watched(working_tree, tmp_path_factory.mktemp(name), answers)
        for name, answers in (("full", FULL), ("plain", PLAIN), ("external", external))
    }


def test_alerts_refer_to_existing_objects(watched: dict[str, Watched]) -> None:
    full, plain = set(watched["full"].alerts), set(watched["plain"].alerts)
    assert full - plain == DATABASE | {"ServiceAtMaximum"}
    assert plain - full == {"ServiceCpuSaturated"}
    assert full - set(watched["external"].alerts) == DATABASE


def test_every_alert_is_seen_firing_and_silent(watched: dict[str, Watched]) -> None:
    alerts = set(watched["full"].alerts) | set(watched["plain"].alerts)
    for fires in (True, False):
        assert {case.alert for case in CASES if case.fires == fires} == alerts


def test_alerts_fire_when_they_should(watched: dict[str, Watched], promtool: str, tmp_path: Path) -> None:
    check_cases(CASES, watched, promtool, tmp_path)


LABELS = (
    "namespace",
    "job",
    "deployment",
    "resource",
    "horizontalpodautoscaler",
    "persistentvolumeclaim",
    "cronjob",
    "job_name",
)
ELSEWHERE = [
    case._replace(series={of(series, **{label: "other"}): values for series, values in case.series.items()})
    for case in CASES
    if case.fires and case.alert != "ServiceNotMeasured"
    for label in LABELS
    if any(re.search(rf"\b{label}='", series) for series in case.series)
]


def test_alerts_are_about_this_service_in_production_alone(
    watched: dict[str, Watched], promtool: str, tmp_path: Path
) -> None:
    check_cases([case._replace(fires=False) for case in ELSEWHERE], watched, promtool, tmp_path)


def check_cases(cases: Sequence[Case], watched: Mapping[str, Watched], promtool: str, folder: Path) -> None:
    """Evaluate cases with Prometheus, which reports unexpected results."""
    for name, answers in (("full", FULL), ("plain", PLAIN)):
        tests: dict[str, list[dict[str, Any]]] = {}
        for case in (case for case in cases if case.answers is answers):
            test = {
                "name": f"{case.alert}: {case.what}, with {list(case.series)}",
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"count(ALERTS{{alertname='{case.alert}', alertstate='firing'}})",
                        "eval_time": f"{case.minute}m",
                        "exp_samples": [{"labels": "{}", "value": 1}] if case.fires else [],
                    }
                ],
            }
            tests.setdefault(case.alert, []).append(test)
        for alert, tests_of_alert in tests.items():
            run_tests(tests_of_alert, watched[name].alerts[alert], promtool, folder)


def run_tests(tests: Sequence[dict[str, Any]], rule: dict[str, Any], promtool: str, folder: Path) -> None:
    """Evaluate a rule on series with Prometheus, which takes each rule of a file each minute, for nine days in some."""
    (folder / "rules.json").write_text(json.dumps({"groups": [{"name": "all", "rules": [rule]}]}), encoding="utf-8")
    (folder / "test.json").write_text(json.dumps({"rule_files": ["rules.json"], "tests": tests}), encoding="utf-8")
    run(promtool, "test", "rules", str(folder / "test.json"))


def test_alert_text_is_readable(watched: dict[str, Watched], promtool: str, tmp_path: Path) -> None:
    alert = "ContainerMemoryNearLimit"
    labels = {
        "severity": "ticket",
        "service": "shop",
        "namespace": "shop-production",
        "pod": "shop-1",
        "container": "shop",
    }
    description = (
        "It is killed at its limit. If pod shop-1 needs more, raise its limit in kubernetes/. If its memory grows "
        "without end, it leaks: run `make rollback ENVIRONMENT=production` if the previous version did not."
    )
    annotations = {"summary": "Container shop uses 95.7% of its memory", "description": description}
    series = [{"series": MEMORY_USED, "values": "245x20"}, {"series": MEMORY_LIMIT, "values": "256x20"}]
    expected = [{"exp_labels": labels, "exp_annotations": annotations}]
    test = {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [{"eval_time": "20m", "alertname": alert, "exp_alerts": expected}],
    }
    run_tests([test], watched["full"].alerts[alert], promtool, tmp_path)


def test_prometheus_accepts_every_query(watched: dict[str, Watched], promtool: str, tmp_path: Path) -> None:
    for project in watched.values():
        run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(project.path / "rules.json"))
        expressions = [expression.replace("$__rate_interval", "5m") for expression in project.expressions()]
        rules = [{"record": f"rule:{n}", "expr": expression} for n, expression in enumerate(expressions)]
        file = tmp_path / "rules.json"
        file.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
        run(promtool, "check", "rules", "--lint-fatal", str(file))


def run(*command: str) -> None:
    """Run a check, which has to find nothing."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_instructions(watched: dict[str, Watched]) -> None:
    for project in watched.values():
        makefiles = "".join(path.read_text(encoding="utf-8") for path in project.path.glob("*.mk"))
        targets = set(re.findall(r"(?m)^([a-z-]+): environment", makefiles))
        for name, rule in project.alerts.items():
            assert rule["labels"]["severity"] in ("page", "ticket"), name
            text = rule["annotations"]["description"]
            assert "`" in text or "copier update" in text, name
            for target in re.findall(r"`make ([a-z-]+) ENVIRONMENT=production`", text):
                assert target in targets, f"{name}: there is no make {target}"
            assert text.count("`make ") == len(re.findall(r"`make [a-z-]+ ENVIRONMENT=production`", text)), name


def test_dashboard_is_complete(watched: dict[str, Watched]) -> None:
    dashboard = watched["full"].dashboard
    assert (dashboard["title"], dashboard["uid"]) == ('The "Shop"', "shop")
    names = {item["name"] for item in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", json.dumps(dashboard))) - {"__rate_interval", "__all"}
    assert used == names
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.databases("none")
def test_service_has_every_queried_metric_and_label(
    project: Project, watched: dict[str, Watched], tmp_path: Path
) -> None:
    with Service(project, tmp_path / "log") as service:
        for path in ("/", "/livez", "/readyz", "/nowhere"):
            service.client.get(path)
        metrics = service.metrics()
    exported: dict[str, dict[str, set[str]]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", metrics, re.MULTILINE):
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            exported.setdefault(name, {}).setdefault(label, set()).add(value)
    own_labels = {label for name, labels in exported.items() if name.startswith(OURS) for label in labels}

    asked = set()
    for expression in (expression for one in watched.values() for expression in one.expressions()):
        metrics_asked = re.findall(r"([a-z]\w+)\{(.*?)\}", expression)
        assert metrics_asked
        for name, matchers in metrics_asked:
            if not name.startswith(OURS):
                assert name in OTHERS
                continue
            asked.add(name)
            for label, operator, pattern in re.findall(r"(\w+)(=~|!~|!=|=)'([^']*)'", matchers):
                assert label in TARGET | exported[name].keys(), expression
                if operator == "!~":
                    for value in pattern.split("|"):
                        assert value in exported[name][label], expression
        if OURS in expression:
            grouped = {label for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(", ")}
            assert grouped <= TARGET | own_labels, expression
    assert asked == {f"{OURS}_count", f"{OURS}_bucket"}
    assert exported[f"{OURS}_count"]["status"] >= {"200", "404"}
