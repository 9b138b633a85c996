"""The real `openstack` command, in this process."""

import contextlib
import io
import json
import os


def forget_clients():
    """The client keeps its connections in a class: without this, another server or user would get the first one's."""
    from osc_lib.clientmanager import ClientCache, ClientManager

    for attribute in vars(ClientManager).values():
        if isinstance(attribute, ClientCache):
            attribute._handle = None


class Openstack:
    """Runs openstack commands in this process, since starting Python anew takes longer than they do."""

    def __init__(self, url, monkeypatch, **variables):
        self.commands = set()
        settings = {
            "OS_AUTH_URL": f"{url}/v3",
            "OS_USERNAME": "admin",
            "OS_PASSWORD": "adminpw",
            "OS_PROJECT_NAME": "admin",
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
            **variables,
        }
        for name in [n for n in os.environ if n.startswith("OS_")]:
            monkeypatch.delenv(name)
        for name, value in settings.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    def run(self, *arguments) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        from openstackclient import shell

        forget_clients()
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = shell.main(list(arguments))
            except SystemExit as end:
                code = end.code or 0
        return code, out.getvalue(), err.getvalue()

    def __call__(self, *arguments):
        """The parsed JSON that the command prints; fails the test if the command fails."""
        self.commands.add(arguments[0])
        words = [w for a in arguments for w in (a.split() if a == arguments[0] else [a])]
        shows = {"show", "list", "issue", "create"} & set(arguments[0].split())
        code, out, err = self.run(*words, *(["-f", "json"] if shows else []))
        assert code == 0, f"openstack {' '.join(words)}: exit {code}\n{err[-1500:]}"
        return json.loads(out) if shows else out


class Session(Openstack):
    """As typed at the client's own prompt: it logs in once and looks its plugins up once."""

    def __init__(self, url, monkeypatch, **variables):
        super().__init__(url, monkeypatch, **variables)
        self.shell, self.out, self.err = None, io.StringIO(), io.StringIO()

    def run(self, *arguments) -> tuple[int, str, str]:
        from openstackclient.shell import OpenStackShell

        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        with contextlib.redirect_stdout(self.out), contextlib.redirect_stderr(self.err):
            if self.shell is None:
                forget_clients()
                self.shell = OpenStackShell()
                code = self.shell.run(list(arguments))
            else:
                code = self.shell.run_subcommand(list(arguments))
        return code, self.out.getvalue(), self.err.getvalue()
