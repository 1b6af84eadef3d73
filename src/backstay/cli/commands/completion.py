"""``backstay completion``."""

from typing import Annotated, Literal

from cyclopts import Parameter

from backstay.cli.help import command
from backstay.cli.session import Given


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(metavar="bash|zsh|fish", help="bash, zsh or fish.")],
    /,
    *,
    session: Given,
) -> int:
    """Print the completion script of a shell, for you to put where that shell looks for it.

    Examples:
      backstay completion bash > ~/.local/share/bash-completion/completions/backstay
      backstay completion zsh > ~/.zfunc/_backstay
      backstay completion fish > ~/.config/fish/completions/backstay.fish

    Exit status: 0.
    """
    from backstay.cli.main import app as root

    session.output.data(root.generate_completion(prog_name="backstay", shell=shell).rstrip())
    return 0


app = command(completion, usage="completion bash|zsh|fish")
