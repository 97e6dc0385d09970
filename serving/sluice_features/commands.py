"""The commands about features, as they join `sluice` through the entry point group `sluice.commands`.

Parsing imports nothing heavy; each command brings what it needs, and says how to install it where it is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sluice.extension import command_of

NEEDED = "this command needs more libraries: pip install 'sluice-serving[features]'"

FEATURES = """\
Make features: check them in their sources, bring them into the online store, join them by time for training. All of it
follows one file, features.yaml, which docs/feature-creation.md describes.
"""
CHECK = """\
Read the views and hold them against their rules; nothing is written.

  sluice features check features.yaml --view store_stats
"""
MATERIALIZE = """\
Read the views, check all of them, and only then write the latest row of each key into the online store. Where one row
breaks a rule nothing is written: the old values stay. Running it again changes nothing, and completes what was cut.
Credentials come from the environment, where features.yaml says ${NAME}.

  WAREHOUSE=postgresql://reader:...@db/shop sluice features materialize features.yaml --store http://feast:6566
"""
HISTORY = """\
Join a service's features to rows that ask for them, each with what was known at its time; for training.

  sluice features history features.yaml --service store_revenue --entities asked.parquet --output training.parquet
"""
RENDER = """\
Write the repository that `feast apply` reads: definitions.py, feature_store.yaml where there is none, and for each view
of a Spark source the job (spark_VIEW.py) that writes what is read of it.

  sluice features render features.yaml --output feast && cd feast && feast apply
"""
EPILOG = """\
exit status: 0 done, 1 a source or the store does not answer (try again), 2 a wrong command line, 3 the definitions or
the data are at fault, and fail again until they change; one line on stderr says what to change
"""


def add(commands: Any) -> None:
    """Add the commands to a parser's subcommands."""
    parser = _command(commands, "features", "make features: check, materialize, join by time, tell Feast", FEATURES)
    parts = parser.add_subparsers(required=True, metavar="PART", dest="part")
    check = _command(parts, "check", "hold the views against their rules", CHECK)
    materialize = _command(parts, "materialize", "bring the latest rows into the online store", MATERIALIZE)
    for reading in (check, materialize):
        _reading(reading)
    materialize.add_argument("--store", metavar="URL", help="the feature server, in place of store.url")
    materialize.add_argument(
        "--store-credentials", type=Path, metavar="FOLDER", help="what it wants to see: files `token` and `ca.crt`"
    )
    _history(_command(parts, "history", "join features by time, for training", HISTORY))
    render = _command(parts, "render", "write what `feast apply` and Spark read", RENDER)
    render.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where the repository is, or will be"
    )


def _command(commands: Any, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(call=command_of("sluice_features.cli", NEEDED))
    if name != "features":
        parser.add_argument("definitions", type=Path, metavar="FEATURES.yaml", help="the definitions")
    return parser


def _reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--view", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--start", metavar="TIME", help="rows from this time on (default: as far as maxAge goes back)")
    parser.add_argument(
        "--end", metavar="TIME", help="rows up to this time, such as 2026-01-31 or 2026-01-31T06:00:00Z"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="what became of each view, as JSON")
    parser.add_argument("--termination-log", type=Path, metavar="FILE", help="where a pod leaves why it failed")


def _history(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--service", required=True, metavar="NAME", help="whose features are joined")
    parser.add_argument("--entities", type=Path, required=True, metavar="FILE", help="keys and times: .parquet or .csv")
    parser.add_argument(
        "--timestamp", default="event_timestamp", metavar="COLUMN", help="its times (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.parquet", help="its rows with the features")
