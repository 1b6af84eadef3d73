"""A command line that cannot be understood: exit 2, in the words and form of every other error."""

import pytest

WRONG = {
    "versoin": ("there is no command `backstay versoin`", "did you mean `version`?"),
    "frobnicate": ("there is no command `backstay frobnicate`", "`backstay --help` shows what it takes."),
    "config shwo": ("there is no command `backstay config shwo`", "did you mean `show`?"),
    "list --sinc 7d": ("`backstay list` has no option --sinc", "did you mean `--since`?"),
    "list --jsn": ("`backstay list` has no option --jsn", "did you mean `--json`?"),
    "list --config": ("--config needs a value", "`backstay --help` shows what it takes."),
    "restore": ("`backstay restore` needs BACKUP", "`backstay restore --help` shows what it takes."),
    "show a b": ("`backstay show` does not know what to do with: b", "`backstay show --help` shows what it takes."),
    "verify --level readble x": ("--level: 'readble' is not one of stored, readable", "did you mean `readable`?"),
    "list --tier volume": (
        "--tier: 'volume' is not one of etcd, postgres, volumes, objects",
        "did you mean `volumes`?",
    ),
    "backup --jobs x --all": ("--jobs: 'x' is not a whole number", "`backstay backup --help` shows what it takes."),
    "restore x --to a --to b": ("--to is given more than once", "`backstay restore --help` shows what it takes."),
    "backup": (
        "say which targets, or --all for every one",
        "For instance `backstay backup postgres/app`; `backstay config show` lists the targets.",
    ),
    "restore x --resume --rollback": ("--resume and --rollback exclude each other", ""),
    "restore x --manifest y": ("--manifest goes with --from-file", ""),
    "restore x --password env:X": (
        "--password goes with --server",
        "Passwords of configured servers are configured.",
    ),
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_and_what_would_be_right(cli, line):
    message, hint = WRONG[line]
    ran = cli.run(*line.split())
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err == f"error: {message}\n" + (f"\nhint: {hint}\n" if hint else "")


def test_as_json_it_is_a_line_on_stderr(cli):
    ran = cli.run("lst", "--json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.failure == {
        "message_type": "error",
        "code": "usage",
        "exit_code": 2,
        "message": "there is no command `backstay lst`",
        "hint": "did you mean `list`?",
        "context": {},
    }


@pytest.mark.parametrize("line", ["--json version", "version --json"])
def test_global_options_stand_before_or_after_the_command(cli, line):
    ran = cli.run(*line.split())
    assert ran.code == 0
    assert sorted(ran.document) == ["backstay", "python", "system"]


def test_an_unexpected_error_says_that_it_is_a_bug_and_shows_its_traceback_only_when_asked(cli, monkeypatch):
    monkeypatch.setattr("backstay.config.load.load", lambda *_: 1 / 0)
    ran = cli.run("config", "validate")
    assert ran.code == 1
    assert ran.err.startswith("error: ZeroDivisionError: division by zero (this is a bug)\n\nhint: Please report it")
    assert "Traceback" not in ran.err
    assert "Traceback" in cli.run("config", "validate", "-v").err


def test_a_pipe_that_broke_elsewhere_is_never_taken_for_success(cli, monkeypatch):
    def broken(*_):
        raise BrokenPipeError

    monkeypatch.setattr("backstay.config.load.load", broken)
    assert cli.run("config", "validate").code == 1
