"""Real database servers on loopback, each with a free port, a data directory and a password of its own."""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Self

FOLDERS = [*os.get_exec_path(), "/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
START_TIMEOUT = 60


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
    """A database server. Subclasses say how theirs is set up, started, and told something."""

    user: ClassVar[str]
    """The system's user to run as: servers refuse root."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    freeze: ClassVar[str]
    """What makes every change of the schema wait until the session ends."""

    note = ""
    """What a reader of the results should know of it."""

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
        """Make a certificate for localhost, but not for 127.0.0.1, that nobody trusts yet."""
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

    def create_database(self, name: str) -> None:
        """Create a database, where there is such a thing."""

    def session(self, name: str) -> Sequence[str]:
        """Return a client that runs what it reads in a database, and prints nothing but results."""
        raise NotImplementedError

    @contextmanager
    def frozen_schema(self, name: str) -> Iterator[None]:
        """Let nobody change a database's schema meanwhile."""
        session = subprocess.Popen(
            self.session(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.surroundings()
        )
        with session:
            assert session.stdin is not None
            assert session.stdout is not None
            session.stdin.write(f"{self.freeze};\nSELECT 'frozen';\n")
            session.stdin.flush()
            assert session.stdout.readline().strip() == "frozen"
            yield

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
        """Send a signal to the server and its children, which PostgreSQL puts in process groups of their own."""
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

    def execute(self, command: str) -> str:
        return self.run(*self.session("postgres"), f"--command={command}")

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
        # MariaDB's client wants TLS even on a socket.
        options = ["--no-defaults", *(["--skip-ssl"] if self.is_mariadb else []), "--user=root"]
        format_ = ["--unbuffered", "--batch", "--skip-column-names"]
        return [self.client, *options, f"--socket={self.folder}/socket", *format_, name]

    def execute(self, command: str) -> str:
        return self.run(*self.session("mysql"), f"--execute={command}")

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

    def execute(self, command: str) -> str:
        return self.run(self.client, "-p", str(self.port), *command.split(), REDISCLI_AUTH=self.password)

    def answers(self) -> bool:
        try:
            return "PONG" in self.execute("PING")
        except CommandError:
            return False

    def environment(self, name: str) -> dict[str, str]:
        environment = super().environment(name)
        del environment["DATABASE_USER"]
        return environment


SERVERS: dict[str, type[Server]] = {"postgres": Postgres, "mysql": MySQL, "redis": Redis}
