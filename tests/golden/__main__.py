"""Replay recordings and print the steps that differ.

    python -m tests.golden --target archstone users groups
    python -m tests.golden --target keystone            # proves the replayer itself
    python -m tests.golden --server http://127.0.0.1:5000 discovery

Lists contain what the earlier files of the same server made, so those are replayed too, unless
--alone is given. MariaDB and PostgreSQL need `dev/services` around the command.
"""

import argparse
import collections
import sys
import time

from tests.golden.replay import FILES, SERVERS, Run, replay


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.golden", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"of: {' '.join(FILES)}")
    parser.add_argument("--target", choices=("archstone", "keystone"), default="archstone")
    parser.add_argument("--db", choices=("sqlite", "mysql", "postgresql"), help="default: as recorded")
    parser.add_argument("--server", metavar="URL", help="a running, freshly bootstrapped server instead of a new one")
    parser.add_argument("--alone", action="store_true", help="do not replay the earlier files of the same server")
    parser.add_argument("--verbose", "-v", action="store_true", help="print every step")
    arguments = parser.parse_args()
    unknown = [f for f in arguments.files if f not in FILES]
    if unknown:
        parser.error(f"no such recording: {' '.join(unknown)}")

    total = collections.Counter()

    def show(outcome):
        total[outcome.verdict] += 1
        if arguments.verbose or outcome.verdict == "differs":
            print(f"  {outcome.verdict:8} {outcome.line()}", flush=True)

    def summary(file, outcomes, started):
        counts = collections.Counter(o.verdict for o in outcomes)
        text = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
        print(f"{file}: {text}  ({time.monotonic() - started:.1f} s)", flush=True)

    started = time.monotonic()
    if arguments.server:
        run = Run(arguments.server.rstrip("/"), arguments.target)
        for file in arguments.files or FILES:
            summary(file, run.replay_file(file, show), started)
    else:
        for recorded in SERVERS:
            names = recorded["files_in_order"]
            wanted = [f for f in names if not arguments.files or f in arguments.files]
            if not wanted:
                continue
            if not arguments.alone:
                wanted = names[: names.index(wanted[-1]) + 1]
            try:
                for file, outcomes in replay(arguments.target, recorded, wanted, arguments.db, show):
                    summary(file, outcomes, started)
            except RuntimeError as error:
                total["differs"] += 1
                print(f"{' '.join(wanted)}: no server: {error}", flush=True)
    print("; ".join(f"{n} {verdict}" for verdict, n in total.items()))
    return 1 if total["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
