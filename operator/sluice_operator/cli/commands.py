"""The commands about a cluster, as they join the `sluice` command through the entry point group `sluice.commands`.

Parsing imports nothing heavy; each command brings what it needs, and says how to install it where it is missing.
"""

import argparse
import sys
from typing import Any

from sluice_operator.cli.errors import CommandError

STATUS = """\
Show one ModelDeployment: where its rollout stands, its revisions with their pods, what they answer (measured now, over
one second, from the pods' own metrics through the API server), the last verdicts, requests and events.
"""
WATCH = """\
Show one ModelDeployment live. Into a pipe or file, each change becomes a line instead. Ctrl-C ends it.
"""
PROMOTE = """\
Let a rollout go on that waits at a pause. --full gives the new version everything as soon as its pods can carry it:
remaining steps, pauses and analysis are skipped. Webhooks still have a say.
"""
ROLLBACK = """\
Go back. During a rollout: to the stable version. At rest: to the version that was stable before, or to the one that
--to names, through the safe path (pods ready, weight, verification, drain). The spec then stays blocked until it
changes or `sluice retry` is called.
"""
VALIDATE = """\
Check manifests offline with the rules of the CustomResourceDefinition itself: types, limits, unknown and repeated
fields, and its CEL rules. Documents of other kinds are passed over. - reads standard input, as from `helm template` or
`kustomize build`. Exit status: 0 all is well, 1 mistakes were found, 2 something could not be read.
"""
ACTIONS = (
    ("promote", "let a paused rollout go on; --full: give the new version everything", PROMOTE),
    ("abort", "take the new version back now", "Take the new version back now; its spec stays blocked."),
    ("retry", "begin a rollout anew that was taken back", "Begin anew what was taken back, refused or rolled back."),
    ("rollback", "go back to a former version", ROLLBACK),
    ("pause", "begin no further step of a rollout", "Begin no further step. The analysis goes on."),
    ("resume", "end a pause", "End a pause that `sluice pause` began."),
)
NEEDED = "this command needs more libraries: pip install 'sluice-serving[control]'"


def add(commands: Any) -> None:
    """Add the commands to a parser's subcommands."""
    status = _about_one(commands, "status", "show a ModelDeployment", STATUS)
    _output(status)
    watch = _about_one(commands, "watch", "show a ModelDeployment live", WATCH)
    _output(watch)
    watch.add_argument("--interval", type=_positive, default=1.0, help="seconds between looks (default: %(default)s)")
    watch.add_argument(
        "--until-settled",
        action="store_true",
        help="end when nothing is under way: exit status 0 where the version in the spec carries everything, else 1",
    )
    _output(_about_one(commands, "history", "show former rollouts", "Show former rollouts: what, when, who, why."))
    for name, summary, description in ACTIONS:
        _action(_about_one(commands, name, summary, description), name)
    _validate(commands.add_parser("validate", help="check manifests offline", description=VALIDATE))


def _about_one(commands: Any, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=description)
    parser.add_argument("name", metavar="NAME", help="name of the ModelDeployment")
    parser.add_argument("-n", "--namespace", help="its namespace (default: that of the kubeconfig's context)")
    parser.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    parser.add_argument("--kubeconfig", help="kubeconfig file (default: $KUBECONFIG, ~/.kube/config, or the pod's own)")
    parser.set_defaults(call=_call, what=name)
    return parser


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="json: for programs")


def _action(parser: argparse.ArgumentParser, name: str) -> None:
    if name == "promote":
        parser.add_argument("--full", action="store_true", help="skip what remains of the rollout")
    if name == "rollback":
        parser.add_argument("--to", default="", metavar="REVISION", help="a revision of `sluice history`")
    parser.add_argument("--by", help="who asks (default: the user that the API server knows you as)")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the operator's answer")
    parser.add_argument("--timeout", type=_positive, default=30.0, help="seconds to wait (default: %(default)s)")
    parser.set_defaults(what="ask", action=name)


def _validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="FILE|DIR|-", help="YAML or JSON; a folder: all of it")
    _output(parser)
    parser.set_defaults(call=_call, what="validate")


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def _call(chosen: argparse.Namespace) -> int:
    """Run the command. Errors that a person can act on become one line on stderr and the exit status 1."""
    try:
        return _run(chosen)
    except CommandError as error:
        print(f"sluice: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130


def _run(chosen: argparse.Namespace) -> int:
    try:
        from sluice_operator.cli import run  # noqa: PLC0415
    except ImportError as error:
        raise CommandError(f"{NEEDED} ({error})") from error
    return run.COMMANDS[chosen.what](chosen)
