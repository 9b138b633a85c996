#!/usr/bin/env python3
"""Record or compare what delegated tokens may do; see tests/reference/delegation.py.

    dev/record-delegation.py [--check] [--url URL] [--only REGEX] [--db mysql] [-v]

Needs the environment that dev/venv makes in .venv (or ARCHSTONE_VENV).
"""

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = Path(os.environ.get("ARCHSTONE_VENV", ROOT / ".venv")) / "bin" / "python"
if not PYTHON.exists():
    sys.exit(f"{PYTHON} is missing: run dev/venv first")
if Path(sys.prefix).resolve() != PYTHON.parent.parent.resolve():
    os.execv(PYTHON, [str(PYTHON), *sys.argv])
sys.path.insert(0, str(ROOT))

from tests.reference import delegation  # noqa: E402
from tests.support.servers import PROGRAMS  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--check", action="store_true", help="compare with the recording instead of writing it")
parser.add_argument("--url", help="ask this server, bootstrapped with admin / adminpw, instead of starting one")
parser.add_argument("--program", choices=tuple(PROGRAMS), help="what to start; Archstone for --check, else Keystone")
parser.add_argument("--db", choices=("sqlite", "mysql", "postgresql"), default="sqlite")
parser.add_argument("--only", metavar="REGEX", help="only cases that match")
parser.add_argument("-v", "--verbose", action="store_true", help="say what is asked")
arguments = parser.parse_args()


def observe(url):
    started = time.monotonic()
    progress = (lambda text: print(text, file=sys.stderr)) if arguments.verbose else (lambda text: None)
    found = delegation.observe(url, arguments.only, not arguments.check, progress)
    print(f"{len(found)} cases by {len(delegation.COLUMNS)} tokens in {time.monotonic() - started:.0f} s")
    return found


if arguments.url:
    found = observe(arguments.url)
else:
    program = PROGRAMS[arguments.program or ("archstone" if arguments.check else "keystone")]
    with program(db=arguments.db, conf=delegation.CONF) as server:
        found = observe(server.url)

if arguments.check:
    found = {title: statuses for title, statuses in found.items() if not delegation.left_out(title)}
    lines = delegation.differences(delegation.expected(delegation.load()), found)
    print("\n".join(lines) if lines else "as recorded")
    sys.exit(bool(lines))
delegation.save(found)
