"""How many instructions the server executes for one warm validation, counted by valgrind's callgrind.

It does not depend on what else the machine does, so that two versions can be compared to a percent.
"""

import re
import subprocess

from .process import BenchError, call, program

# The difference of both is divided, so that what is done once for each count, and connecting, drop out.
FEWER, MORE = 500, 1_500


def count_instructions(bench):
    """One thread that answers, one connection, one token; the clock is read each time."""
    folder = bench.cloud.folder
    output = folder / "callgrind"
    prefix = [program("valgrind"), "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={output}"]
    with bench.archstone(options=[("workers", 1)], prefix=prefix, patience=120) as server:
        control = [program("callgrind_control")]
        process = server.process.pid

        def validate(count):
            bench.slice(server, "validate", "--requests", count, concurrency=1, seconds=240, warmup=0)

        def instructions(count):
            call([*control, "-z", process], folder / "callgrind.log")
            validate(count)
            call([*control, "-d", process], folder / "callgrind.log")
            dumps = sorted(folder.glob("callgrind.[0-9]*"), key=lambda path: int(path.name.rsplit(".", 1)[1]))
            if not dumps:
                raise BenchError("callgrind has written nothing")
            return total(dumps[-1]), dumps[-1]

        call([*control, "-i", "on", process], folder / "callgrind.log")
        validate(FEWER)
        fewer, _ = instructions(FEWER)
        more, dump = instructions(MORE)
        return {
            "per_validation": round((more - fewer) / (MORE - FEWER)),
            "counted": {str(FEWER): fewer, str(MORE): more},
            "most": most(dump),
        }


def total(dump):
    found = re.search(r"^(?:totals|summary): (\d+)", dump.read_text(errors="replace"), re.M)
    if not found:
        raise BenchError(f"no total in {dump}")
    return int(found.group(1))


def most(dump, lines=25):
    """Where they are spent, by function: share of all, and the name."""
    done = subprocess.run(
        [program("callgrind_annotate"), "--threshold=90", "--auto=no", str(dump)], capture_output=True, text=True, timeout=300
    )
    found = re.findall(r"^\s*[\d,]+ \(\s*([\d.]+)%\)\s+(.+)$", done.stdout, re.M)
    return [{"percent": float(share), "function": shorten(name)} for share, name in found if "PROGRAM TOTALS" not in name][:lines]


def shorten(name):
    """Without the file before it, the object after it, and the hash of the compiler."""
    name = re.sub(r"\s*\[[^\]]*\]$", "", name.split(":", 1)[-1] if ":" in name.split("::")[0] else name)
    return re.sub(r"::h[0-9a-f]{16}", "", name)[:160]
