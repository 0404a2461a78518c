"""Real database servers on loopback, each with a free port, a separate data directory and password."""

import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import ClassVar, Self

FOLDERS = [*os.get_exec_path(), "/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
START_TIMEOUT = 60


GENERAL_CAUSES = {
    "address": "refused|connect call failed",
    "time": "timed? ?out|deadline exceeded|timeout",
    "encryption": "tls|ssl|secure connection",
    "certificate": "certificate|x509",
}
"""The common part of every client's message for a failed connection; the rest is the server's message."""


class MissingError(Exception):
    """A server is not installed; the message says how to install it."""


class CommandError(Exception):
    """A command failed; the message holds what it printed."""


def find(program: str, package: str) -> str:
    """Return the path of a program, on PATH or where Debian keeps servers."""
    path = shutil.which(program, path=os.pathsep.join(FOLDERS))
    if path is None:
        raise MissingError(f"{program} is missing: apt-get install {package}")
    return path


_ports = iter(random.sample(range(20000, 30000), 10000))
"""Below the range from which systems give ports to whoever names none: Docker's DNS listens on one of those in every
container, so that a service that were told that very port would now and then fail to start. No port comes twice."""


def free_port() -> int:
    """Return a port on which nothing listens, another one each time."""
    for port in _ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("every port from 20000 to 29999 is taken")


class Server:
    """A database server. Subclasses define its setup, start and commands."""

    user: ClassVar[str]
    """The system's user to run as: servers refuse root."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    freeze: ClassVar[str]
    """SQL that makes every schema change wait until the session ends."""

    restart_ids: ClassVar[str]
    """SQL that sets the ID of the next item."""

    causes: ClassVar[Mapping[str, str]]
    """How the server refuses a connection: for each reason, a pattern of its message."""

    note = ""
    """A note for the test report."""

    def __init__(self) -> None:
        self.openssl = find("openssl", "openssl")
        self.port = free_port()
        # What an address, a shell, a format string or a configuration file could trip over.
        self.password = f"""p@s/w:o?r#d %d $HOME '"\\{secrets.token_urlsafe()}"""
        self.folder = Path(tempfile.mkdtemp(prefix="database-"))
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        self.password_file = self.folder / "password"
        self.password_file.write_text(f"{self.password}\n", encoding="utf-8")
        self.certificate = self.folder / "certificate.pem"
        self.key = self.folder / "key.pem"
        self.tls = True
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.certify()
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def certify(self) -> None:
        """Create an untrusted certificate for localhost, but not for 127.0.0.1."""
        kind = ["-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"]
        subject = ["-subj", "/CN=database", "-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", str(self.key), "-out", str(self.certificate)]
        self.run(self.openssl, "req", *kind, *subject, *files)
        if os.geteuid() == 0:
            shutil.chown(self.key, self.user)

    def prepare(self) -> None:
        """Fill the data directory."""

    def tls_address(self, host: str) -> dict[str, str]:
        """Return the settings of a service that reaches this server by TLS, under a name of this host."""
        return {"DATABASE_HOST": host, "DATABASE_PORT": str(self.port)}

    def command(self) -> Sequence[str]:
        """Return what starts the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether the server is up."""
        raise NotImplementedError

    def execute(self, command: str) -> str:
        """Run one command of the database's language with all rights."""
        raise NotImplementedError

    def query(self, name: str, command: str) -> str:
        """Run one command in a database."""
        raise NotImplementedError

    def create_database(self, name: str) -> None:
        """Create a database, where there is such a thing."""

    def change_password(self, password: str) -> None:
        """Change the user's password and the file that holds it."""
        self.password = password
        self.password_file.write_text(f"{password}\n", encoding="utf-8")

    def end_sessions(self) -> None:
        """Close every connection of the services."""
        raise NotImplementedError

    def read_only(self) -> AbstractContextManager[None]:
        """Refuse every write, as a primary does after a failover, and keep the connections."""
        raise NotImplementedError

    def full(self, name: str) -> AbstractContextManager[dict[str, str]]:
        """Refuse new connections to a database with these settings, because there are too many."""
        raise NotImplementedError

    @contextmanager
    def refusing(self, reason: str, name: str) -> Iterator[dict[str, str]]:
        """Refuse a service with these settings for a reason."""
        wrong_password = self.folder / "wrong-password"
        wrong_password.write_text("wrong", encoding="utf-8")
        match reason:
            case "password":
                yield {"DATABASE_PASSWORD_FILE": str(wrong_password)}
            case "database":
                yield {"DATABASE_NAME": "missing"}
            case "certificate":
                yield {"DATABASE_TLS": "verify", **self.tls_address("127.0.0.1")}
            case "encryption":
                with self.without_encryption():
                    yield {"DATABASE_TLS": "verify", **self.tls_address("localhost")}
            case "connections":
                with self.full(name) as settings:
                    yield settings
            case "address":
                with self.stopped():
                    yield {}
            case "time":
                with self.hanging():
                    yield {}

    def assert_cause(self, reason: str, log: str) -> None:
        """Check that a log has the reason for which the server refused."""
        pattern = {**GENERAL_CAUSES, **self.causes}[reason]
        assert re.search(pattern, log.replace('\\"', '"'), re.IGNORECASE), f"no {pattern} in:\n{log[-4000:]}"

    def in_new_york(self) -> AbstractContextManager[None]:
        """Use the time zone of New York in new sessions, where there is such a thing."""
        return nullcontext()

    def session(self, name: str) -> Sequence[str]:
        """Return a client that runs what it reads in a database, and prints nothing but results."""
        raise NotImplementedError

    def frozen_schema(self, name: str) -> AbstractContextManager[Callable[[str], None]]:
        """Block every schema change of a database."""
        return self.held_session(name, self.freeze)

    @contextmanager
    def held_session(self, name: str, command: str) -> Iterator[Callable[[str], None]]:
        """Keep a session open after a command; the function runs another command in it."""
        session = subprocess.Popen(
            self.session(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.surroundings()
        )

        def execute(command: str) -> None:
            assert session.stdin is not None
            assert session.stdout is not None
            session.stdin.write(f"{command};\nSELECT 'done';\n")
            session.stdin.flush()
            while (line := session.stdout.readline()) and line.strip() != "done":
                pass
            assert line, f"{command} failed"

        with session:
            execute(command)
            yield execute

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Keep connections, but do not respond."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    @contextmanager
    def without_encryption(self) -> Iterator[None]:
        """Offer no TLS."""
        self.stop()
        self.tls = False
        self.start()
        try:
            yield
        finally:
            self.stop()
            self.tls = True
            self.start()

    def environment(self, name: str) -> dict[str, str]:
        """Return the settings of a service that uses a database of this server."""
        return {
            "DATABASE_HOST": "127.0.0.1",
            "DATABASE_PORT": str(self.port),
            "DATABASE_NAME": name,
            "DATABASE_USER": "app",
            "DATABASE_PASSWORD_FILE": str(self.password_file),
            "DATABASE_TLS": "disable",
        }

    def as_user(self, *command: str) -> list[str]:
        """Run a command as the server's user when we are root."""
        if os.geteuid() != 0:
            return list(command)
        shutil.chown(self.folder, self.user, self.user)
        shutil.chown(self.data, self.user, self.user)
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", *command]

    def run(self, *command: str, **environment: str) -> str:
        """Run a command to its end and return what it prints."""
        surroundings = self.surroundings() | environment
        result = subprocess.run(
            command, cwd=self.folder, env=surroundings, capture_output=True, text=True, timeout=120, check=False
        )
        if result.returncode:
            raise CommandError(f"{command} failed: {result.stdout}{result.stderr}")
        return result.stdout

    def surroundings(self) -> dict[str, str]:
        """Return the environment of servers and their tools: they may not write to our temporary folder."""
        return os.environ | {"TMPDIR": str(self.folder)}

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.as_user(*self.command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.surroundings(),
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text(encoding="utf-8", errors="replace")[-4000:])
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        if self.process is None:
            return
        self.resume()
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def pause(self) -> None:
        """Let the server hang: connections stay, but nothing is answered, from when this returns."""
        self.signal(signal.SIGSTOP)
        # On a busy machine a thread takes a moment to notice.
        while self.process is not None and not all(map(is_stopped, (self.process.pid, *children(self.process.pid)))):
            time.sleep(0.01)

    def resume(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and its children, which PostgreSQL puts in separate process groups."""
        if self.process is not None:
            for process in (self.process.pid, *children(self.process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(process, number)


def children(parent: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()]


def is_stopped(process: int) -> bool:
    """Tell whether no thread of a process runs: each has stopped, or the process is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        states = (stat.read_text(encoding="utf-8") for stat in Path(f"/proc/{process}/task").glob("*/stat"))
        return all(state.rpartition(")")[2].split()[0] in {"T", "Z"} for state in states)
    return True


class Postgres(Server):
    """PostgreSQL."""

    user = "postgres"
    stop_signal = signal.SIGINT  # without waiting for clients to go

    def __init__(self) -> None:
        self.initdb = find("initdb", "postgresql")
        self.postgres = find("postgres", "postgresql")
        self.psql = find("psql", "postgresql")
        super().__init__()

    def prepare(self) -> None:
        user = ["--username=app", f"--pwfile={self.password_file}", "--auth=scram-sha-256"]
        self.run(*self.as_user(self.initdb, *user, "--no-sync", str(self.data)))

    def command(self) -> Sequence[str]:
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        if self.tls:
            settings += ["ssl=on", f"ssl_cert_file={self.certificate}", f"ssl_key_file={self.key}"]
        return [self.postgres, "-D", str(self.data), "-p", str(self.port), *(f"--{setting}" for setting in settings)]

    freeze = "BEGIN; CREATE TABLE items ()"

    def session(self, name: str) -> Sequence[str]:
        address = ["--host=127.0.0.1", f"--port={self.port}", "--username=app", f"--dbname={name}"]
        return [self.psql, *address, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]

    def surroundings(self) -> dict[str, str]:
        return super().surroundings() | {"PGPASSWORD": self.password}

    restart_ids = "ALTER TABLE items ALTER COLUMN id RESTART WITH {}"

    causes: ClassVar[Mapping[str, str]] = {
        "password": "password authentication failed",
        "database": 'database "missing" does not exist',
        "connections": "too many connections",
    }

    def query(self, name: str, command: str) -> str:
        return self.run(*self.session(name), f"--command={command}")

    def execute(self, command: str) -> str:
        return self.query("postgres", command)

    def change_password(self, password: str) -> None:
        quoted = password.replace("'", "''")
        self.execute(f"SET standard_conforming_strings = on; ALTER ROLE app PASSWORD '{quoted}'")
        super().change_password(password)

    def end_sessions(self) -> None:
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    @contextmanager
    def read_only(self) -> Iterator[None]:
        with self.setting("default_transaction_read_only", "on"):
            yield

    @contextmanager
    def in_new_york(self) -> Iterator[None]:
        with self.setting("timezone", "America/New_York"):
            yield

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """Change a setting, which open sessions follow."""
        before = self.execute(f"SHOW {name}")
        self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.reload(name, before)
        try:
            yield
        finally:
            before = self.execute(f"SHOW {name}")
            self.execute(f"ALTER SYSTEM RESET {name}")
            self.reload(name, before)

    def reload(self, name: str, before: str) -> None:
        """Read the settings again, and wait until one is no longer what it was."""
        self.execute("SELECT pg_reload_conf()")
        while self.execute(f"SHOW {name}") == before:
            time.sleep(0.1)

    @contextmanager
    def full(self, name: str) -> Iterator[dict[str, str]]:
        # Superusers, such as ours, ignore the limit of a database or a role.
        quoted = self.password.replace("'", "''")
        self.execute(f"CREATE ROLE guest LOGIN CONNECTION LIMIT 0 PASSWORD '{quoted}'")
        self.execute(f'GRANT ALL ON DATABASE "{name}" TO guest')
        try:
            yield {"DATABASE_USER": "guest"}
        finally:
            self.execute(f'REVOKE ALL ON DATABASE "{name}" FROM guest')
            self.execute("DROP ROLE guest")

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except CommandError:
            return False
        return True

    def create_database(self, name: str) -> None:
        self.execute(f'CREATE DATABASE "{name}"')


class MySQL(Server):
    """MySQL, or MariaDB in its place with the way to log in that MySQL uses."""

    user = "mysql"

    def __init__(self) -> None:
        self.mysqld = find("mysqld", "mariadb-server")
        self.client = find("mysql", "mariadb-client")
        version = subprocess.run([self.mysqld, "--version"], capture_output=True, text=True, check=True).stdout
        self.is_mariadb = "MariaDB" in version
        if self.is_mariadb:
            self.note = "MariaDB stood in for MySQL: no MySQL server is installed."
            self.install = find("mariadb-install-db", "mariadb-server")
        super().__init__()

    def prepare(self) -> None:
        password = self.password.replace("\\", "\\\\").replace("'", "''")
        if self.is_mariadb:
            self.run(*self.as_user(self.install, "--no-defaults", f"--datadir={self.data}", "--skip-test-db"))
            identified = f"VIA caching_sha2_password USING PASSWORD('{password}')"
        else:
            self.run(*self.as_user(self.mysqld, "--no-defaults", "--initialize-insecure", f"--datadir={self.data}"))
            identified = f"WITH caching_sha2_password BY '{password}'"
        sql = f"CREATE USER IF NOT EXISTS app@'%' IDENTIFIED {identified};\nGRANT ALL ON *.* TO app@'%';\n"
        if self.is_mariadb:
            # Whoever has it writes to a server that is read-only.
            sql += "REVOKE READ ONLY ADMIN ON *.* FROM app@'%';\n"
        (self.folder / "init.sql").write_text(sql, encoding="utf-8")

    def command(self) -> Sequence[str]:
        return [
            self.mysqld,
            "--no-defaults",
            f"--datadir={self.data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--init-file={self.folder}/init.sql",
            *(["--plugin-load-add=auth_mysql_sha2"] if self.is_mariadb else ["--mysqlx=OFF"]),
            *([f"--ssl-cert={self.certificate}", f"--ssl-key={self.key}"] if self.tls else self.without_tls()),
        ]

    def without_tls(self) -> Sequence[str]:
        """Return what makes the server offer none."""
        return ["--skip-ssl"] if self.is_mariadb else ["--tls-version="]

    freeze = "FLUSH TABLES WITH READ LOCK"

    def session(self, name: str) -> Sequence[str]:
        # MariaDB's client requires TLS even on a socket.
        options = ["--no-defaults", *(["--skip-ssl"] if self.is_mariadb else []), "--user=root"]
        format_ = ["--unbuffered", "--batch", "--skip-column-names"]
        return [self.client, *options, f"--socket={self.folder}/socket", *format_, name]

    restart_ids = "ALTER TABLE items AUTO_INCREMENT = {}"

    causes: ClassVar[Mapping[str, str]] = {
        "password": "Access denied",
        "database": "Unknown database",
        "connections": "Too many connections",
    }

    def query(self, name: str, command: str) -> str:
        return self.run(*self.session(name), f"--execute={command}")

    def execute(self, command: str) -> str:
        return self.query("mysql", command)

    def change_password(self, password: str) -> None:
        quoted = password.replace("\\", "\\\\").replace("'", "''")
        using = f"VIA caching_sha2_password USING PASSWORD('{quoted}')" if self.is_mariadb else f"BY '{quoted}'"
        self.execute(f"ALTER USER app@'%' IDENTIFIED {using}")
        super().change_password(password)

    def end_sessions(self) -> None:
        for session in self.execute("SELECT id FROM information_schema.processlist WHERE user = 'app'").split():
            with suppress(CommandError):
                self.execute(f"KILL {session}")

    @contextmanager
    def read_only(self) -> Iterator[None]:
        variable = "read_only" if self.is_mariadb else "super_read_only"
        self.execute(f"SET GLOBAL {variable} = 1")
        try:
            yield
        finally:
            self.execute(f"SET GLOBAL {variable} = 0")

    @contextmanager
    def in_new_york(self) -> Iterator[None]:
        self.execute("SET GLOBAL time_zone = '-05:00'")
        try:
            yield
        finally:
            self.execute("SET GLOBAL time_zone = DEFAULT")

    @contextmanager
    def full(self, name: str) -> Iterator[dict[str, str]]:
        with ExitStack() as sessions:
            execute = sessions.enter_context(self.held_session(name, "SET GLOBAL max_connections = 10"))
            try:
                # One more than the limit is for administrators, such as our user.
                with suppress(AssertionError, BrokenPipeError):
                    for _ in range(10):
                        sessions.enter_context(self.held_session(name, "SELECT 1"))
                yield {}
            finally:
                execute("SET GLOBAL max_connections = DEFAULT")

    def answers(self) -> bool:
        try:
            # Users are created after the server has begun to listen.
            return "app" in self.execute("SELECT user FROM mysql.user WHERE user = 'app'")
        except CommandError:
            return False

    def create_database(self, name: str) -> None:
        self.execute(f"CREATE DATABASE `{name}`")


class Redis(Server):
    """Redis."""

    user = "redis"

    def __init__(self) -> None:
        self.redis = find("redis-server", "redis-server")
        self.client = find("redis-cli", "redis-tools")
        super().__init__()
        self.tls_port = free_port()

    def prepare(self) -> None:
        password = self.password.replace("\\", "\\\\").replace('"', '\\"')
        (self.folder / "redis.conf").write_text(f'requirepass "{password}"\n', encoding="utf-8")

    def command(self) -> Sequence[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.data)]
        files = ["--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.key), "--tls-auth-clients", "no"]
        tls = ["--tls-port", str(self.tls_port), *files] if self.tls else []
        return [self.redis, str(self.folder / "redis.conf"), *where, "--appendonly", "yes", *tls]

    def tls_address(self, host: str) -> dict[str, str]:
        return {"DATABASE_HOST": host, "DATABASE_PORT": str(self.tls_port if self.tls else self.port)}

    causes: ClassVar[Mapping[str, str]] = {
        "password": "WRONGPASS|invalid username-password|invalid password",
        # Without TLS, Redis waits for the rest of the handshake.
        "encryption": "tls|ssl|timed? ?out|timeout|deadline exceeded",
        # Redis closes the connection right after its error, which a client that still writes may not read.
        "connections": "max number of clients reached|broken pipe|connection reset",
    }

    def execute(self, command: str) -> str:
        return self.send(*command.split())

    def send(self, *words: str) -> str:
        """Run one command, given as its words."""
        return self.run(self.client, "-e", "-p", str(self.port), *words, REDISCLI_AUTH=self.password)

    def change_password(self, password: str) -> None:
        self.send("CONFIG", "SET", "requirepass", password)
        super().change_password(password)
        self.prepare()

    def end_sessions(self) -> None:
        self.execute("CLIENT KILL TYPE normal")

    @contextmanager
    def read_only(self) -> Iterator[None]:
        # A replica of a server that is not there serves what it has.
        self.execute("REPLICAOF 127.0.0.1 1")
        try:
            yield
        finally:
            self.execute("REPLICAOF NO ONE")

    @contextmanager
    def full(self, name: str) -> Iterator[dict[str, str]]:  # noqa: ARG002
        environment = self.surroundings() | {"REDISCLI_AUTH": self.password}
        command = [self.client, "-p", str(self.port)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as session:

            def limit(clients: int) -> None:
                assert session.stdin is not None
                assert session.stdout is not None
                session.stdin.write(f"CONFIG SET maxclients {clients}\n")
                session.stdin.flush()
                assert session.stdout.readline().strip() == "OK"

            limit(1)
            try:
                yield {}
            finally:
                limit(10000)

    def answers(self) -> bool:
        try:
            return "PONG" in self.execute("PING")
        except CommandError:
            return False

    def environment(self, name: str) -> dict[str, str]:
        environment = super().environment(name)
        del environment["DATABASE_USER"]
        return environment


class PgBouncer(Server):
    """A transaction pooler in front of PostgreSQL, which keeps no prepared statement for its clients."""

    user = "postgres"

    def __init__(self, server: Server) -> None:
        self.pgbouncer = find("pgbouncer", "pgbouncer")
        self.psql = find("psql", "postgresql")
        super().__init__()
        self.server = server
        self.password = server.password
        self.password_file.write_text(f"{self.password}\n", encoding="utf-8")

    def prepare(self) -> None:
        password = self.password.replace('"', '""')
        (self.folder / "users.txt").write_text(f'"app" "{password}"\n', encoding="utf-8")
        (self.folder / "pgbouncer.ini").write_text(
            f"""[databases]
* = host=127.0.0.1 port={self.server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {self.folder}/users.txt
pool_mode = transaction
max_prepared_statements = 0
""",
            encoding="utf-8",
        )

    def command(self) -> Sequence[str]:
        return [self.pgbouncer, str(self.folder / "pgbouncer.ini")]

    def surroundings(self) -> dict[str, str]:
        return super().surroundings() | {"PGPASSWORD": self.password}

    def answers(self) -> bool:
        address = ["--host=127.0.0.1", f"--port={self.port}", "--username=app", "--dbname=postgres"]
        try:
            self.run(self.psql, *address, "--command=SELECT 1")
        except CommandError:
            return False
        return True


SERVERS: dict[str, type[Server]] = {"postgres": Postgres, "mysql": MySQL, "redis": Redis}
