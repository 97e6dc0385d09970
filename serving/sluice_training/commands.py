"""The command about training, as it joins `sluice` through the entry point group `sluice.commands`.

Parsing imports nothing heavy; the command brings what it needs, and says how to install it where it is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sluice.extension import command_of

TRAIN = """\
Train a model: a class that inherits from sluice.Model, in a module that can be imported from here. Writes the package
(graph, signature, data contract, statistics, sample, model card, and the record of how it was trained), prints how well
it does on rows that training did not see, and the package's digest. Equal class, data, options and libraries give the
same digest, on every checkout.
"""
EPILOG = """\
a class, from its data to the block to commit:
  sluice train model:Iris --data iris.csv --output iris-1.tar.gz
  sluice train model:Iris --data iris.csv --search 20 --seed 7 --output iris-2.tar.gz
  sluice train model:Revenue --data revenue.parquet --features features.yaml --service revenue --timestamp week \\
      --push s3://models --register http://mlflow:5000 --alias champion
"""
NEEDED = "this command needs more libraries: pip install 'sluice-serving[train]'"


def add(commands: Any) -> None:
    """Add the command to a parser's subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a model and make its package",
        description=TRAIN,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(call=command_of("sluice_training.cli", NEEDED))
    parser.add_argument("model", metavar="MODULE:CLASS", help="the class; its module's folder is the current one")
    parser.add_argument("--output", type=Path, metavar="PACKAGE", help="a new folder, or a new .tar.gz file "
                        "(default: NAME-VERSION.tar.gz)")  # fmt: skip
    _data(parser.add_argument_group("data"))
    _how(parser.add_argument_group("how to train"))
    _where(parser.add_argument_group("where the package goes"))
    _job(parser.add_argument_group("in the cluster"))


def _data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--data", type=Path, action="append", default=[], metavar="FILE",
                       help=".csv, .csv.gz or .parquet; may be repeated")  # fmt: skip
    group.add_argument("--features", type=Path, metavar="FILE.yaml", help="definitions of features, which are joined "
                       "to the rows as they were known at each row's --timestamp")  # fmt: skip
    group.add_argument("--service", help="the feature service (default: the one that the class names)")
    group.add_argument("--timestamp", metavar="COLUMN", help="the time of a row; the latest rows are then held out")
    group.add_argument("--key", action="append", default=[], metavar="COLUMN", help="whom a row is about: rows of one "
                       "are on one side of the split; may be repeated")  # fmt: skip


def _how(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--seed", type=int, default=0, help="of everything that is random (default: %(default)s)")
    group.add_argument("--test-share", type=float, default=0.2, metavar="SHARE", help="of the rows, held out for the "
                       "evaluation (default: %(default)s)")  # fmt: skip
    group.add_argument("--search", type=int, default=0, metavar="N", help="try N of the class's parameters by "
                       "cross-validation, and take the best (default: the first of each)")  # fmt: skip
    group.add_argument("--previous", type=Path, metavar="PACKAGE", help="start from what this package's model had "
                       "fitted, where the class knows how")  # fmt: skip
    group.add_argument("--lock", type=Path, metavar="FILE", help="pinned libraries of the class's own preprocessing, "
                       "with hashes; needed where it overrides preprocess or postprocess")  # fmt: skip
    group.add_argument("--model-version", metavar="VERSION", help="in place of the one that the class says")


def _where(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--push", metavar="STORE", help="publish the package, as `sluice push` does")
    group.add_argument("--endpoint", metavar="URL", help="the store's server, where it is not its provider's")
    group.add_argument("--register", metavar="URL", help="an MLflow server that the package is registered with")
    group.add_argument("--name", help="of the registered model (default: the model's)")
    group.add_argument("--alias", help="that models:/NAME@ALIAS shall stand for this version")


def _job(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--as-job", action="store_true", help="train nothing, and print a Kubernetes Job that does, for "
                       "`kubectl apply --server-side -f -`")  # fmt: skip
    group.add_argument("--image", help="of the job: the tools image, or one of yours with code and data in it")
    group.add_argument("--image-folder", metavar="FOLDER", help="of the image, where code and data are; without it "
                       "they travel in a ConfigMap")  # fmt: skip
    group.add_argument("--claim", metavar="NAME", help="a PersistentVolumeClaim with data, which are below /data then")
    group.add_argument("--secret", metavar="NAME", help="a Secret of environment variables: credentials of sources, "
                       "stores and the registry")  # fmt: skip
    group.add_argument("--namespace", help="of the job")
