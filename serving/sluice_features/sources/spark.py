"""A Spark job as a source: the job is written by template, run by whoever runs Spark, and its Parquet is what is read.

What a job wrote lies below `output`, in a folder named by the view and by a hash of its query: a changed query never
reads what an older one left. A folder without Spark's own mark of success is a job that is not done.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.fs

from sluice_features.definitions import Definitions, View
from sluice_features.errors import invalid
from sluice_features.sources.reading import Context, unreadable
from sluice_features.sources.types import ONLY_TABLE, Parquet, Spark

DONE = "_SUCCESS"

_JOB = '''\
"""Written by `sluice features render` for view {view}; changes belong into features.yaml.

    spark-submit {file}
"""

import os
import sys

from pyspark.sql import SparkSession

QUERY = {query}
OUTPUT = {output}


def main() -> None:
    # Times without a zone are UTC everywhere.
    settings = {{"spark.sql.session.timeZone": "UTC", "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}}
    builder = SparkSession.builder.appName({app})
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        rows = spark.sql(QUERY).select({columns})
        rows.write.mode("overwrite").parquet(os.path.expandvars(sys.argv[1] if len(sys.argv) > 1 else OUTPUT))
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
'''


def render_jobs(definitions: Definitions, folder: Path, output: Path) -> list[Path]:
    """Write the job of each view of a Spark source into `output`; `folder`: where the definitions lie."""
    written = []
    for view in definitions.views:
        source = definitions.sources[view.source].spark
        if source is not None:
            path = output / f"spark_{view.name}.py"
            path.write_text(job(source, view, folder), encoding="utf-8")
            written.append(path)
    return written


def job(source: Spark, view: View, folder: Path) -> str:
    """The PySpark program of a view. Variables in the output's place are filled in when it runs."""
    place = source.output if "://" in source.output else str(folder / source.output)
    return _JOB.format(
        view=view.name,
        file=f"spark_{view.name}.py",
        query=repr(str(view.query).strip().rstrip(";")),
        output=repr(f"{place.rstrip('/')}/{part_of(view)}"),
        app=repr(f"sluice features: {view.name}"),
        columns=", ".join(map(repr, view.columns)),
    )


def output_of(source: Spark, view: View, context: Context) -> Parquet:
    """What the view's job wrote.

    Raises:
        FeaturesError: FeaturesInvalid where no job has run to its end.
    """
    place = f"{context.place(source.output).rstrip('/')}/{part_of(view)}"
    try:
        files, path = pyarrow.fs.FileSystem.from_uri(place if "://" in place else Path(place).absolute().as_uri())
        done = files.get_file_info(f"{path}/{DONE}").type is pyarrow.fs.FileType.File
    except OSError as error:
        raise unreadable(place, error, context) from error
    if not done:
        raise invalid(
            f"the Spark job of view {view.name} has not run to its end: there is no "
            f"{context.secrets.scrubbed(place)}/{DONE}; run `sluice features render` and spark_{view.name}.py"
        )
    return Parquet(tables={ONLY_TABLE: place})


def part_of(view: View) -> str:
    """The folder of a view below its source's `output`."""
    told = "\n".join([str(view.query), *view.columns])
    return f"{view.name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
