"""What ends a command: a sentence for a person, and the exit status for a script."""


class CommandError(Exception):
    """The command cannot do what it was asked; the message says why and what to do."""

    exit_status = 1


class UnreadableError(CommandError):
    """Something that was named cannot be read at all."""

    exit_status = 2
