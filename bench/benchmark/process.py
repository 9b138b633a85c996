"""Processes and ports."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


class BenchError(Exception):
    """Why a row could not be measured, for people."""


def program(name):
    """Where a program is; those of servers are not always on the PATH."""
    places = [*sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), pathlib.Path("/usr/sbin")]
    found = shutil.which(name) or next((str(place / name) for place in places if (place / name).exists()), None)
    if not found:
        raise BenchError(f"{name} is not installed")
    return found


def call(command, log, environment=None, text=None):
    """Runs a command to its end; its output goes to the log."""
    with open(log, "ab") as output:
        done = subprocess.run(
            list(map(str, command)), stdout=output, stderr=output, env=environment, input=text, timeout=300
        )
    if done.returncode != 0:
        raise BenchError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{tail(log)}")


def tail(log):
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""


def start(command, log, environment=None):
    with open(log, "ab") as output:
        return subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, process_group=0
        )


def stop(process, how=signal.SIGTERM):
    """Only what this run has started: the process and its own group."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def discovers(url):
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/v3", timeout=10) as reply:
        return reply.status == 200
    return False


def wait_for(ready, what, process, log, seconds=60, pause=0.1):
    end = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise BenchError(f"{what} ended with {process.returncode}\n{tail(log)}")
        if time.monotonic() > end:
            raise BenchError(f"{what} did not start within {seconds} s\n{tail(log)}")
        time.sleep(pause)


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchError(f"process {pid} has no VmRSS")


def cpu_seconds(pid):
    """What a process has used of the processors until now, without its children."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """What all of the machine's processors have worked until now, for whomever."""
    fields = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    # All but idle and waiting for the disk.
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
