"""What the scripts beside this file share: the job, and one line per check.

A script is called with a file of JSON. It prints `ok NAME` or `FAILED NAME: why` for each check, and
ends with 0 either way: the test reads the lines.
"""

import json
import sys
import traceback

JOB = json.load(open(sys.argv[1]))


def check(name, run):
    try:
        run()
        print("ok", name, flush=True)
    except Exception:
        why = traceback.format_exc().strip().replace("\n", " | ")
        print(f"FAILED {name}: {why}", flush=True)


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"
