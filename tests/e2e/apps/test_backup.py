"""The backup and restore scripts of a rendered project, against real servers and beside a running service."""

import gzip
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.apps.bucket import S3
from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.servers import MySQL, Postgres, Redis, Server, find
from tests.e2e.requirements import skip_unless_available
from tests.languages import LANGUAGES

pytestmark = [pytest.mark.databases("postgres", "mysql", "redis"), pytest.mark.languages("python")]
"""The scripts are the same in every language; only what they back up is not."""

PODS_USER = 999
NAMESPACE = "shop-staging"
CONFIDENTIAL = {"RESTIC_PASSWORD", "AWS_SECRET_ACCESS_KEY"}
SUFFIXES = {"postgres": "dump", "mysql": "sql.gz", "redis": "rdb"}
TOOLS = {
    "postgres": {"pg_dump": "postgresql-client", "pg_restore": "postgresql-client", "psql": "postgresql-client"},
    "mysql": {"mysqldump": "mariadb-client", "mysql": "mariadb-client"},
    "redis": {"redis-cli": "redis-tools", "redis-check-rdb": "redis-tools", "redis-server": "redis-server"},
}

WITHOUT_GTIDS = 'for word; do shift; [ "$word" = --set-gtid-purged=OFF ] || set -- "$@" "$word"; done\n'
"""MariaDB has no such option of MySQL's."""


class Store:
    """A database of a server, and the folder of its backups, as the pods of the CronJobs see them."""

    def __init__(self, project: Project, server: Server, name: str, password: str) -> None:
        self.project = project
        self.server = server
        self.password = password
        self.name = name
        self.suffix = SUFFIXES[project.database]
        self.environment = server.environment(name)
        self.folder = Path(tempfile.mkdtemp(prefix="backup-"))
        self.backups = self.folder / "backups"
        self.programs = self.folder / "bin"
        self.arguments = self.folder / "arguments"
        self.password_file = self.folder / "password"
        self.bucket = self.folder / "bucket"
        for folder in (self.backups, self.bucket, self.programs, self.folder / "tmp"):
            folder.mkdir()
        self.write_password(password)
        self.environment["DATABASE_PASSWORD_FILE"] = str(self.password_file)
        self.arguments.touch()
        for script in ("backup.sh", "fetch.sh", "restore.sh", "upload.sh", "verify.sh"):
            shutil.copy(project.path / "kubernetes" / "database" / script, self.folder)
        for tool, package in TOOLS[project.database].items():
            note = f'printf "%s\\n" "$*" >> {self.arguments}\n'
            fit = WITHOUT_GTIDS if tool == "mysqldump" and isinstance(server, MySQL) and server.is_mariadb else ""
            self.program(tool, f'{note}{fit}exec {find(tool, package)} "$@"')
        self.give_to_pods()

    def give_to_pods(self) -> None:
        """Make the pods' user the owner of everything."""
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, PODS_USER, PODS_USER)

    def mount_bucket(self, variables: Mapping[str, str]) -> None:
        """Mount the Secret of a bucket."""
        for name, value in variables.items():
            (self.bucket / name).write_text(value, encoding="utf-8")
        self.give_to_pods()

    def write_password(self, password: str) -> None:
        """Mount another Secret."""
        self.password_file.write_text(f"{password}\n", encoding="utf-8")

    def program(self, name: str, script: str) -> None:
        """Put a program before those of the system."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script like a pod: without privileges, and with only these environment variables."""
        rights = ["setpriv", f"--reuid={PODS_USER}", f"--regid={PODS_USER}", "--clear-groups", "--bounding-set=-all"]
        result = subprocess.run(
            [*(rights if os.geteuid() == 0 else []), "sh", str(self.folder / script)],
            cwd=self.folder,
            env=self.environment
            | {
                "BACKUPS": str(self.backups),
                "BUCKET": str(self.bucket),
                "NAMESPACE": NAMESPACE,
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "TMPDIR": str(self.folder / "tmp"),
            }
            | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        told = result.stdout + result.stderr + self.arguments.read_text(encoding="utf-8")
        for secret in (
            self.password[-20:],
            *(path.read_text() for path in self.bucket.iterdir() if path.name in CONFIDENTIAL),
        ):
            assert secret not in told
        assert list((self.folder / "tmp").iterdir()) == []
        return result

    def backup(self, **environment: str) -> Path:
        """Back up, which has to succeed, and return the backup."""
        before = set(self.files())
        result = self.run("backup.sh", **environment)
        assert (result.returncode, result.stderr) == (0, "")
        [name] = set(self.files()) - before
        assert re.fullmatch(rf"\d{{8}}T\d{{6}}Z\.{self.suffix}", name)
        assert re.fullmatch(rf"Saved \S+ as {name}, \d+ bytes\.\n", result.stdout)
        assert stat.S_IMODE((self.backups / name).stat().st_mode) == 0o600
        return self.backups / name

    def restore(self, backup: Path, **environment: str) -> None:
        """Restore, which has to succeed."""
        result = self.run("restore.sh", **environment)
        assert (result.returncode, result.stderr) == (0, "")
        assert re.fullmatch(rf"Restored \S+ from {backup.name}\.\n", result.stdout)

    def files(self) -> list[str]:
        """Return the names of all files beside the backups."""
        return sorted(path.name for path in self.backups.iterdir())

    def fill(self) -> None:
        """Add what is easily lost."""
        raise NotImplementedError

    def damage(self) -> None:
        """Remove, change and add something of every kind."""
        raise NotImplementedError

    def state(self) -> str:
        """Return everything in the database as text."""
        raise NotImplementedError

    def add(self, value: str) -> None:
        """Add a value that makes the state another."""
        raise NotImplementedError


class PostgresStore(Store):
    """As its owner, who is no superuser and so has fewer rights than the image's user."""

    def __init__(self, project: Project, server: Server, name: str, password: str) -> None:
        super().__init__(project, server, name, password)
        password = password.replace("'", "''")
        server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        server.execute(f"CREATE DATABASE {name} OWNER {name}")
        self.environment["DATABASE_USER"] = name

    def sql(self, command: str) -> None:
        self.server.run(*self.server.session(self.name), "--set=ON_ERROR_STOP=1", f"--command={command}")

    def fill(self) -> None:
        self.sql(f"""
            SET ROLE {self.name};
            CREATE SCHEMA other;
            CREATE TYPE other.colour AS ENUM ('red', 'green');
            CREATE TABLE other.odd (id serial PRIMARY KEY, colour other.colour, bytes bytea, text text);
            INSERT INTO other.odd (colour, bytes, text) VALUES ('red', '\\x00ff0a', E'a\\tb\\r\\nc\\\\. ü 🎉'), ('green', '', NULL);
            CREATE VIEW public.reds AS SELECT * FROM other.odd WHERE colour = 'red';
            CREATE FUNCTION public.twice(integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * $1';
            SELECT lo_from_bytea(0, '\\x0102');
            GRANT SELECT ON other.odd TO app;
        """)  # noqa: E501, S608

    def damage(self) -> None:
        self.sql(f"""
            SET ROLE {self.name};
            DELETE FROM items;
            DROP TABLE other.odd CASCADE;
            DROP FUNCTION public.twice;
            SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
            SELECT lo_from_bytea(0, '\\x03');
            CREATE TABLE public.new (id integer);
            CREATE SCHEMA "a new ""one";
            CREATE TABLE "a new ""one".new (id integer REFERENCES items);
            CREATE FUNCTION public.new() RETURNS integer LANGUAGE sql AS 'SELECT 1';
            REVOKE USAGE ON SCHEMA public FROM PUBLIC;
        """)  # noqa: S608

    def state(self) -> str:
        address = ["--host=127.0.0.1", f"--port={self.server.port}", "--username=app"]
        dump = self.server.run(find("pg_dump", "postgresql-client"), *address, self.name)
        return re.sub(r"(?m)^\\(un)?restrict .*$", "", dump)

    def add(self, value: str) -> None:
        self.sql(f"SET ROLE {self.name}; CREATE TABLE added_{value} ()")


class MySQLStore(Store):
    """With the permissions of the image's user."""

    def __init__(self, project: Project, server: Server, name: str, password: str) -> None:
        # More of what an option file takes for something else.
        password += '\\n\\\\#"'
        super().__init__(project, server, name, password)
        password = password.replace("\\", "\\\\").replace("'", "''")
        pattern = name.replace("_", "\\_")
        server.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        server.execute(f"CREATE USER {name}@'%' IDENTIFIED BY '{password}'")
        server.execute(f"GRANT ALL ON `{pattern}`.* TO {name}@'%'")
        self.environment["DATABASE_USER"] = name

    def sql(self, command: str) -> None:
        self.server.run(*self.server.session(self.name), f"--execute={command}")

    def fill(self) -> None:
        definer = f"DEFINER = {self.name}@'%'"
        self.sql(f"""
            CREATE TABLE odd (id integer AUTO_INCREMENT PRIMARY KEY, bytes blob, text text);
            INSERT INTO odd (bytes, text) VALUES (x'00ff0a', 'a\\tb\\r\\nc\\\\ '';-- ü 🎉'), ('', NULL);
            CREATE {definer} VIEW named AS SELECT * FROM odd WHERE text IS NOT NULL;
            CREATE {definer} PROCEDURE twice(n integer) SELECT 2 * n;
            CREATE {definer} EVENT later ON SCHEDULE EVERY 1 YEAR STARTS '2100-01-01 00:00:00' DO DELETE FROM odd;
            CREATE {definer} TRIGGER counted BEFORE INSERT ON odd FOR EACH ROW SET NEW.text = 'x';
        """)  # noqa: S608

    def damage(self) -> None:
        self.sql(f"""
            DELETE FROM items;
            DROP TABLE odd;
            DROP VIEW named;
            DROP PROCEDURE twice;
            DROP EVENT later;
            CREATE TABLE new (id integer);
            CREATE VIEW newer AS SELECT * FROM new;
            CREATE PROCEDURE newest() SELECT 1;
            ALTER DATABASE {self.name} CHARACTER SET latin1;
        """)  # noqa: S608

    def state(self) -> str:
        session = [word for word in self.server.session(self.name) if "unbuffered" not in word]
        options = [word for word in session[1:-1] if word not in ("--batch", "--skip-column-names")]
        content = ["--skip-dump-date", "--routines", "--events", "--hex-blob", "--databases", self.name]
        return self.server.run(find("mysqldump", "mariadb-client"), *options, *content)

    def add(self, value: str) -> None:
        self.sql(f"CREATE TABLE added_{value} (id integer)")


class RedisStore(Store):
    """With keys in several of the server's databases; a restored key expires some milliseconds late."""

    STATE = """
        local function hex(text) return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
        local found = {}
        for database = 0, 15 do
          redis.call("SELECT", database)
          for _, key in ipairs(redis.call("KEYS", "*")) do
            local value, minute = hex(redis.call("DUMP", key)), math.floor(redis.call("EXPIRETIME", key) / 60)
            table.insert(found, ("%d %s %d %s"):format(database, hex(key), minute, value))
          end
        end
        table.sort(found)
        return found
    """
    FILL = r"""
        redis.call("SET", "a key\nwith 'blanks'", "x")
        redis.call("SET", "bytes \0\255\r\n", "\0\255\n")
        redis.call("SET", "", "empty")
        redis.call("SET", "until 2100", "x", "EXAT", 4102444830)
        redis.call("SET", "large", ("x"):rep(5000000))
        redis.call("XADD", "stream", "*", "field", "value")
        redis.call("ZADD", "sorted", 1.5, "a", -1, "b")
        redis.call("RPUSH", "list", "a", "b")
        redis.call("SELECT", 9)
        for n = 1, 3000 do redis.call("SET", "key " .. n, n) end
    """
    DAMAGE = r"""
        redis.call("DEL", "large")
        redis.call("PERSIST", "until 2100")
        redis.call("SET", "list", "another type")
        redis.call("SET", "new", "x")
        redis.call("SELECT", 3)
        redis.call("SET", "new", "x")
        redis.call("SWAPDB", 9, 10)
    """
    LIBRARY = '#!lua name={0}\nredis.register_function("{0}", function() return "\\255\\n" end)\n'

    def command(self, *words: str) -> str:
        assert isinstance(self.server, Redis)
        address = [self.server.client, "-e", "-p", str(self.server.port)]
        return self.server.run(*address, *words, REDISCLI_AUTH=self.server.password)

    def fill(self) -> None:
        self.command("EVAL", self.FILL, "0")
        self.command("FUNCTION", "LOAD", self.LIBRARY.format("old"))

    def damage(self) -> None:
        self.command("EVAL", self.DAMAGE, "0")
        self.command("FUNCTION", "DELETE", "old")
        self.command("FUNCTION", "LOAD", self.LIBRARY.format("new"))

    def state(self) -> str:
        return self.command("EVAL", self.STATE, "0") + self.command("FUNCTION", "LIST", "WITHCODE")

    def add(self, value: str) -> None:
        self.command("SET", f"added {value}", value)


STORES: dict[type[Server], type[Store]] = {Postgres: PostgresStore, MySQL: MySQLStore, Redis: RedisStore}


@pytest.fixture
def store(project: Project, server: Server, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty database without a backup, of the test's own except with Redis."""
    name = f"b_{abs(hash(request.node.name)):x}"
    if isinstance(server, Redis):
        empty(server)
    store = STORES[type(server)](project, server, name, server.password)
    yield store
    shutil.rmtree(store.folder)
    if isinstance(server, Redis):
        empty(server)


def empty(server: Redis) -> None:
    """Remove all keys and functions, for every test has the same server."""
    server.execute("FLUSHALL")
    server.execute("FUNCTION FLUSH")


@pytest.mark.languages(*LANGUAGES)
def test_a_restore_brings_everything_back_under_a_running_service(store: Store, tmp_path: Path) -> None:
    environment = store.environment
    assert store.project.run("migrate", environment=environment)[0] == 0
    with Service(store.project, tmp_path / "log", **environment) as service:
        for name in ("first", "second \u00fc \U0001f389"):
            assert service.client.post("/items", json={"name": name}).status_code == 201
        items = service.client.get("/items").json()
        store.fill()
        state = store.state()
        backup = store.backup()

        assert service.client.post("/items", json={"name": "third"}).status_code == 201
        assert service.client.delete(f"/items/{items['items'][0]['id']}").status_code == 204
        store.damage()
        assert store.state() != state

        store.restore(backup)
        assert store.state() == state
        assert service.client.get("/items").json() == items
        created = service.client.post("/items", json={"name": "next"}).json()
        assert created["id"] > items["items"][-1]["id"]


def test_an_empty_database_is_backed_up_and_restored_too(store: Store) -> None:
    state = store.state()
    backup = store.backup()
    store.add("later")
    store.restore(backup)
    assert store.state() == state


def test_a_named_backup_is_restored_instead_of_the_newest(store: Store) -> None:
    store.add("old")
    old, old_state = store.backup(), store.state()
    store.add("new")
    new, new_state = next_second(store), store.state()
    for backup, environment, state in (
        (old, {"BACKUP": old.name}, old_state),
        (new, {}, new_state),
        (old, {"BACKUP": old.name}, old_state),
        (new, {"BACKUP": ""}, new_state),
    ):
        store.restore(backup, **environment)
        assert store.state() == state


def next_second(store: Store) -> Path:
    """Back up under another name than the last one."""
    time.sleep(1)
    return store.backup()


def test_a_backup_that_is_not_there_changes_nothing(store: Store) -> None:
    store.add("it")
    state = store.state()
    assert store.run("restore.sh").returncode != 0
    backup = store.backup()
    for name in ("20000101T000000Z." + store.suffix, "nonsense"):
        result = store.run("restore.sh", BACKUP=name)
        assert result.returncode != 0
        assert f"Backup {name} does not exist." in result.stderr
        assert backup.name in result.stderr
    assert store.state() == state


def test_half_a_backup_changes_nothing(store: Store) -> None:
    store.fill()
    backup = store.backup()
    content = backup.read_bytes()
    backup.write_bytes(content[: len(content) // 2])
    store.add("later")
    state = store.state()
    assert store.run("restore.sh").returncode != 0
    assert store.state() == state


def days_ago(store: Store, days: int) -> str:
    """Return the name of a backup of that day."""
    return f"{datetime.now(UTC) - timedelta(days=days):%Y%m%d}T000000Z.{store.suffix}"


def test_only_old_backups_are_deleted(store: Store) -> None:
    old, young = [days_ago(store, days) for days in (400, 30, 9, 8)], [days_ago(store, days) for days in (6, 1)]
    others = [
        f"20200101T000000Z.{store.suffix}.keep",
        f"a 20200101T000000Z.{store.suffix}",
        f"2020-01-01.{store.suffix}",
        f"before-migration.{store.suffix}",
        "README",
    ]
    killed = f"20200101T000000Z.{store.suffix}.partial"
    running = f"{days_ago(store, 0)}.partial"
    for name in (*old, *young, *others, killed, running):
        (store.backups / name).write_text(name, encoding="utf-8")
    # Many backups in one day cost no older one.
    for _ in range(3):
        backup = next_second(store).name
        assert {*store.files()} >= {*others, *young, running, backup}
        assert not {*store.files()} & {*old, killed}
    for keep in ("0", "-1", "all"):
        assert store.run("backup.sh", KEEP_DAYS=keep).returncode != 0
    assert store.run("backup.sh", KEEP_DAYS="3").returncode == 0
    assert young[0] not in store.files()
    assert young[1] in store.files()


def test_newest_backup_is_kept_at_any_age(store: Store) -> None:
    for days in (400, 300, 200):
        (store.backups / days_ago(store, days)).touch()
    store.write_password("wrong")
    store.program("sleep", "exit")
    assert store.run("backup.sh").returncode != 0
    assert store.files() == [days_ago(store, 200)]


KEY = "a key that is kept outside of the cluster"


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server."""
    with skip_unless_available():
        server = S3()
    with server:
        yield server


@pytest.fixture
def bucket(s3: S3, store: Store) -> dict[str, str]:
    """A bucket to which the store's backups go."""
    variables = s3.make_bucket(store.name.replace("_", "-"), KEY)
    store.mount_bucket(variables)
    return variables


def upload(store: Store, **environment: str) -> Path:
    """Back up, and copy the backup to the bucket."""
    backup = next_second(store)
    result = store.run("upload.sh", **environment)
    assert (result.returncode, result.stdout) == (0, f"Copied {backup.name} to the bucket.\n"), result.stderr
    return backup


def lose_volume(store: Store) -> None:
    """Go to a namespace whose volume is new."""
    shutil.rmtree(store.backups)
    store.backups.mkdir()
    store.give_to_pods()


def test_backup_without_a_bucket_is_reported_as_on_the_volume_only(store: Store) -> None:
    backup = store.backup()
    result = store.run("upload.sh")
    assert (result.returncode, result.stderr) == (0, "")
    assert "on the volume only" in result.stdout
    result = store.run("fetch.sh")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    store.restore(backup)


def test_backups_in_the_bucket_outlive_the_namespace(store: Store, s3: S3, bucket: dict[str, str]) -> None:
    store.fill()
    first, first_state = upload(store), store.state()
    store.add("more")
    second, second_state = upload(store), store.state()
    lose_volume(store)
    store.add("later")
    for backup, state, environment in ((second, second_state, {}), (first, first_state, {"BACKUP": first.name})):
        result = store.run("fetch.sh", **environment)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"Fetched {backup.name} from the bucket.\n"
        store.restore(backup, **environment)
        assert store.state() == state
    # The variables are sufficient.
    s3.ask(bucket, "restore", "latest", "--target=.", folder=store.folder)
    assert (store.folder / second.name).read_bytes() == (store.backups / second.name).read_bytes()


@pytest.mark.usefixtures("bucket")
def test_newest_backup_is_on_the_volume_if_its_upload_failed(store: Store) -> None:
    older = upload(store)
    store.add("more")
    newest, state = next_second(store), store.state()
    store.add("later")
    assert store.run("fetch.sh").stdout == f"Fetched {older.name} from the bucket.\n"
    store.restore(newest)
    assert store.state() == state


@pytest.mark.usefixtures("bucket")
def test_backups_of_another_namespace_are_restored_only_from_there(store: Store) -> None:
    production = "shop-production"
    store.fill()
    ours, our_state = upload(store), store.state()
    store.add("theirs")
    theirs, their_state = upload(store, NAMESPACE=production), store.state()
    lose_volume(store)
    assert store.run("fetch.sh").stdout == f"Fetched {ours.name} from the bucket.\n"
    store.restore(ours)
    assert store.state() == our_state
    assert store.run("fetch.sh", FROM=production).stdout == f"Fetched {theirs.name} from the bucket.\n"
    result = store.run("restore.sh", FROM=production)
    assert (result.returncode, result.stderr) == (0, "")
    assert store.state() == their_state
    assert store.files() == [".fetched", ours.name]
    upload(store, KEEP_DAYS="1")
    assert store.run("fetch.sh", FROM=production).returncode == 0
    assert "of shop-test" in store.run("fetch.sh", FROM="shop-test").stderr
    store.mount_bucket({"RESTIC_REPOSITORY": ""})
    assert "no bucket with backups of shop-production" in store.run("fetch.sh", FROM=production).stderr


def test_backups_in_the_bucket_are_encrypted(store: Store, s3: S3, bucket: dict[str, str]) -> None:
    backup = upload(store)
    head = backup.read_bytes()[:16]
    stored = [path for path in s3.folder.rglob("*") if path.is_file()]
    assert bucket
    assert stored
    assert not [path for path in stored if head in path.read_bytes()]


def test_the_bucket_keeps_backups_by_age(store: Store, s3: S3, bucket: dict[str, str]) -> None:
    backup = upload(store)
    for days in (100, 31, 29, 1):
        when = datetime.now(UTC) - timedelta(days=days)
        name = days_ago(store, days)
        (store.folder / name).write_text(name, encoding="utf-8")
        s3.ask(
            bucket, "backup", f"--host={NAMESPACE}", f"--tag={name}", f"--time={when:%F %T}", name, folder=store.folder
        )
    last = upload(store)
    kept = {tag for one in json.loads(s3.ask(bucket, "snapshots", "--json")) for tag in one["tags"]}
    assert kept == {backup.name, last.name, days_ago(store, 29), days_ago(store, 1)}
    upload(store, KEEP_DAYS="7")
    kept = {tag for one in json.loads(s3.ask(bucket, "snapshots", "--json")) for tag in one["tags"]}
    assert days_ago(store, 29) not in kept
    assert days_ago(store, 1) in kept


def test_another_key_changes_nothing(store: Store, s3: S3, bucket: dict[str, str]) -> None:
    backup = upload(store)
    state = store.state()
    store.mount_bucket({"RESTIC_PASSWORD": "another key of enough characters"})
    for script in ("upload.sh", "fetch.sh"):
        result = store.run(script)
        assert result.returncode != 0
        assert result.stdout == ""
        assert "wrong password" in result.stderr
    assert store.state() == state
    assert store.files() == [backup.name]
    (snapshot,) = json.loads(s3.ask(bucket, "snapshots", "--json"))
    assert snapshot["tags"] == [backup.name]


@pytest.mark.usefixtures("bucket")
def test_an_unavailable_bucket_is_an_error_and_costs_no_backup(store: Store, s3: S3) -> None:
    backup = upload(store)
    s3.stop()
    try:
        for script in ("upload.sh", "fetch.sh"):
            result = store.run(script, TIMEOUT="2")
            assert result.returncode != 0
            assert result.stdout == ""
            assert "connection refused" in result.stderr
        # What is on the volume can be restored by its name.
        assert store.run("fetch.sh", BACKUP=backup.name).returncode == 0
        store.restore(backup, BACKUP=backup.name)
    finally:
        s3.start()
    assert store.run("upload.sh").returncode == 0


@pytest.mark.usefixtures("bucket")
def test_missing_backup_is_reported_with_the_existing_ones(store: Store) -> None:
    backup = upload(store)
    lose_volume(store)
    result = store.run("fetch.sh", BACKUP=days_ago(store, 3))
    assert result.returncode != 0
    assert f"The bucket has no backup {days_ago(store, 3)} of {NAMESPACE}." in result.stderr
    assert backup.name in result.stderr


def test_a_copy_that_differs_is_an_error(store: Store, bucket: dict[str, str]) -> None:
    assert bucket
    store.program("cmp", "echo differ; exit 1")
    store.backup()
    result = store.run("upload.sh")
    assert result.returncode != 0
    assert "Copied" not in result.stdout


@pytest.fixture
def scratch(store: Store) -> Iterator[Store]:
    """A database of the same name on a server of its own, as the pod of a verification has."""
    with type(store.server)() as server:
        scratch = STORES[type(server)](store.project, server, store.name, server.password)
        scratch.backups, scratch.bucket = store.backups, store.bucket
        (scratch.folder / "fetched").mkdir()
        scratch.give_to_pods()
        yield scratch
        shutil.rmtree(scratch.folder)


def verify(scratch: Store, backup: Path) -> None:
    """Verify the newest backup, which has to succeed."""
    fetched = str(scratch.folder / "fetched")
    result = scratch.run("fetch.sh", BACKUPS=fetched)
    assert (result.returncode, result.stderr) == (0, "")
    result = scratch.run("verify.sh", FETCHED=fetched)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(
        rf"Restored \S+ from {backup.name}\.\nThe restored database has (keys|[1-9]\d* tables)\.\n", result.stdout
    )


@pytest.mark.parametrize("has_bucket", [False, True])
def test_the_newest_backup_is_verified_in_a_database_of_its_own(
    store: Store, scratch: Store, s3: S3, has_bucket: bool
) -> None:
    if has_bucket:
        store.mount_bucket(s3.make_bucket(f"{store.name.replace('_', '-')}-verified", KEY))
    save = upload if has_bucket else next_second
    store.fill()
    save(store)
    store.add("new")
    newest, state = save(store), store.state()
    if has_bucket:
        # The bucket's is verified, whatever is on the volume.
        newest.write_text("half", encoding="utf-8")
    store.add("later")
    later = store.state()
    verify(scratch, newest)
    assert scratch.state() == state
    assert store.state() == later


def test_a_backup_that_is_missing_or_broken_or_empty_is_not_verified(store: Store, scratch: Store) -> None:
    def told() -> str:
        result = scratch.run("verify.sh", FETCHED=str(scratch.folder / "fetched"))
        assert result.returncode != 0
        assert "The restored database has" not in result.stdout
        return result.stderr

    assert "does not exist" in told()
    store.backup()
    assert told() == f"The restored database has no {'keys' if store.suffix == 'rdb' else 'tables'}.\n"
    store.fill()
    backup = next_second(store)
    backup.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])
    assert told()


def test_wrong_password_fails_and_changes_nothing(store: Store) -> None:
    store.add("it")
    backup = store.backup()
    store.add("later")
    state = store.state()
    store.write_password("wrong")
    for script in ("backup.sh", "restore.sh"):
        result = store.run(script)
        assert result.returncode != 0
        assert result.stderr
        assert result.stdout == ""
    assert store.files() == [backup.name]
    assert store.state() == state


def test_a_backup_that_fails_half_way_leaves_the_older_ones(store: Store) -> None:
    older = [days_ago(store, days) for days in (3, 2, 1)]
    for name in older:
        (store.backups / name).touch()
    tool = {"postgres": "pg_dump", "mysql": "mysqldump", "redis": "redis-cli"}[store.project.database]
    write_half = 'for last in "$@"; do :; done\ncase $last in *.partial) echo half > "${last#--file=}" ;; esac'
    store.program(tool, f"{write_half}\necho half\nexit 3")
    result = store.run("backup.sh")
    assert result.returncode != 0
    assert "Saved" not in result.stdout
    assert store.files() == older


def test_a_server_that_is_down_is_an_error(store: Store) -> None:
    backup = store.backup()
    store.program("sleep", "exit")
    store.server.stop()
    try:
        for script in ("backup.sh", "restore.sh"):
            result = store.run(script)
            assert result.returncode != 0
            assert result.stdout == ""
    finally:
        store.server.start()
    assert store.files() == [backup.name]


@pytest.mark.databases("postgres")
def test_superuser_can_restore(store: Store) -> None:
    """The image's user is one."""
    store.environment["DATABASE_USER"] = "app"
    store.write_password(store.server.password)
    store.add("it")
    state = store.state()
    backup = store.backup()
    store.add("later")
    store.restore(backup)
    assert re.sub(r"OWNER TO \w+|Owner: \w+", "", store.state()) == re.sub(r"OWNER TO \w+|Owner: \w+", "", state)


@pytest.mark.databases("postgres")
def test_a_restore_that_fails_is_undone(store: Store) -> None:
    store.fill()
    store.backup()
    store.add("later")
    state = store.state()
    store.program("pg_restore", f'{find("pg_restore", "postgresql-client")} "$@" | sed "s/^COMMIT;/SELECT 1 \\/ 0;&/"')
    result = store.run("restore.sh")
    assert result.returncode != 0
    assert "division by zero" in result.stderr
    assert store.state() == state


@pytest.mark.databases("mysql")
def test_a_backup_is_compressed_sql(store: Store) -> None:
    assert gzip.decompress(store.backup().read_bytes()).rstrip().splitlines()[-1].startswith(b"-- Dump completed")


@pytest.mark.databases("redis")
def test_a_service_that_writes_meanwhile_is_noticed(store: Store) -> None:
    store.add("it")
    store.backup()
    find_cli = find("redis-cli", "redis-tools")
    store.program("redis-cli", f'{find_cli} "$@" && case "$*" in *FLUSHALL) {find_cli} -p $DATABASE_PORT SET x x; esac')
    store.environment["REDISCLI_AUTH"] = store.server.password
    result = store.run("restore.sh")
    assert result.returncode != 0
    assert "Stop it" in result.stderr
