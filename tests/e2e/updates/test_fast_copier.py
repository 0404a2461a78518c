"""Updates run on a Copier that repeats no work: it does what Copier does."""

import subprocess
from pathlib import Path

from tests.e2e.updates.fast_copier import FastCopier
from tests.e2e.updates.project import CHANGED, OLDER, History, assert_same, files, update, work
from tests.harness import Projects
from tests.harness_tests.test_projects import git


def test_copier_without_its_repeated_work_does_the_same(projects: Projects, tmp_path: Path) -> None:
    history, fast, name = History(tmp_path, projects.template), FastCopier(), "exposure=ingress"
    as_it_is, with_less_work = tmp_path / "1/project", tmp_path / "2/project"
    with fast():
        wanted = work(as_it_is, history, projects, OLDER, name)
        subprocess.run(["cp", "-a", as_it_is.parent, with_less_work.parent], check=True)
        update(with_less_work, CHANGED[name])
    fast.close()
    update(as_it_is, CHANGED[name])
    assert_same(files(as_it_is), wanted)
    assert files(as_it_is) == files(with_less_work)
    for command in ("status --porcelain", "ls-files --stage"):
        assert git(as_it_is, *command.split()) == git(with_less_work, *command.split())
