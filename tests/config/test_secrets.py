"""Secret references: each form leads to its secret, and no failure repeats one."""

import stat
import sys

import pytest

from backstay.config.secrets import SecretRef, resolve, resolve_keys
from backstay.core.errors import SecretError

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OPTIONAL = ("AWS_SESSION_TOKEN", "AWS_ENDPOINTS")
INI = "[other]\naws_access_key_id = no\n[default]\n# mine\naws_access_key_id = AKIA\naws_secret_access_key = s=cr/et+\n"
LINES = "export AWS_ACCESS_KEY_ID=AKIA\n\nAWS_SECRET_ACCESS_KEY='s=cr/et+'\nAWS_ENDPOINTS=\n"
PAIR = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s=cr/et+"}


@pytest.fixture
def private(tmp_path):
    """Writes a file that only its owner can read."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


def one(text, env=None, **options):
    return resolve(SecretRef.parse(text), key="password", env=env or {}, **options)


def several(text, env=None):
    return resolve_keys(SecretRef.parse(text), KEYS, optional=OPTIONAL, env=env or {})


def refusal(take, *arguments, **options):
    with pytest.raises(SecretError) as caught:
        take(*arguments, **options)
    return caught.value.message, caught.value.hint


def python(program):
    return f'cmd:{sys.executable} -c "{program}"'


@pytest.mark.parametrize(
    "text", ["secret:a/b", "secret:a/b/c.d", "env:NAME", "file:/a b/c", "cmd:pass show 'a b'", "cmd:/bin/echo a:b"]
)
def test_a_reference_is_shown_as_it_is_written(text):
    assert str(SecretRef.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "http://x/hunter2",
        "secret:hunter2",
        "secret:a/../hunter2",
        "secret:a/b/c/hunter2",
        "secret:/hunter2",
        "env:hunter 2",
        "file:hunter2",
        "file:/hunter2\0",
        "cmd:",
        "cmd:'hunter2",
        "SECRET:a/hunter2",
    ],
)
def test_what_is_no_reference_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match=r"^(is|does) not") as caught:
        SecretRef.parse(text)
    assert "hunter2" not in str(caught.value)


def test_a_kubernetes_secret_is_read_where_it_is_mounted(tmp_path, private):
    private("apps/postgres/password", "p4ss\n")
    private("apps/postgres/other", "0ther")
    env = {"BACKSTAY_SECRETS_DIR": str(tmp_path)}
    assert one("secret:apps/postgres", env) == "p4ss"
    assert one("secret:apps/postgres/other", env) == "0ther"
    message, hint = refusal(one, "secret:apps/nothing", env)
    assert message == f"secret:apps/nothing: there is no file {tmp_path}/apps/nothing/password"
    assert hint == (
        f"Kubernetes Secrets are read where they are mounted, below {tmp_path} (BACKSTAY_SECRETS_DIR names another "
        "folder). Outside the cluster use file:, cmd: or env:."
    )
    message, hint = refusal(one, "secret:apps/postgres", {})
    assert message == "secret:apps/postgres: there is no file /run/secrets/backstay/apps/postgres/password"
    assert "below /run/secrets/backstay (" in hint


def test_an_environment_variable():
    assert one("env:PW", {"PW": " p4ss \n"}) == " p4ss "
    assert refusal(one, "env:PW", {}) == ("env:PW: the environment variable is not set", "Set PW.")
    assert refusal(one, "env:PW", {"PW": "\n"}) == ("env:PW: is empty", "Fill it, or remove the reference.")


def test_a_file(private):
    path = private("pw", "p4ss\r\n")
    assert one(f"file:{path}") == "p4ss"
    assert refusal(one, f"file:{path}x")[0] == f"file:{path}x: there is no file {path}x"
    assert refusal(one, f"file:{path.parent}")[0] == f"file:{path.parent}: there is no file {path.parent}"


def test_only_one_line_break_at_the_end_is_dropped(private):
    path = private("identity", "# created\nAGE-SECRET\n\n")
    assert one(f"file:{path}") == "# created\nAGE-SECRET\n"


def test_a_file_that_everyone_can_read_is_told_of(private):
    path = private("pw", "p4ss")
    told = []
    one(f"file:{path}", warn=told.append)
    assert told == []
    path.chmod(0o640 | stat.S_IROTH)
    assert one(f"file:{path}", warn=told.append) == "p4ss"
    assert told == [f"{path} can be read by everyone on this machine: chmod 600 {path}"]


def test_what_cannot_be_a_secret_is_refused(private):
    path = private("big", "x" * 65_537)
    assert refusal(one, f"file:{path}")[0] == f"file:{path}: more than 64 KiB cannot be a secret"
    path.write_bytes(b"\xff\xfe")
    assert refusal(one, f"file:{path}")[0] == f"file:{path}: is not text in UTF-8"


def test_a_program():
    assert one(python("print('p4ss')")) == "p4ss"
    assert one(python("import os; print(os.environ['WHO'])"), {"WHO": "me"}) == "me"
    assert one("cmd:/bin/echo $HOME; ls") == "$HOME; ls"


def test_a_program_that_fails_is_told_with_what_it_said():
    message, hint = refusal(one, python("import sys; sys.exit('locked')"))
    assert message == f"cmd:{sys.executable} failed with exit code 1"
    assert hint == "It said: locked"
    assert refusal(one, "cmd:/nowhere/pass show x") == (
        "cmd:/nowhere/pass cannot be run: No such file or directory",
        "Give its full path.",
    )


def test_a_program_that_asks_or_hangs_is_stopped():
    assert one(python("import sys; print(repr(sys.stdin.read()))")) == "''"
    message, hint = refusal(one, python("import time; time.sleep(60)"), timeout=0.3)
    assert message == f"cmd:{sys.executable} gave no secret within 0.3 s and was stopped"
    assert hint == "It must not ask questions: its input is empty."


@pytest.mark.parametrize("text", [INI, LINES, LINES.replace("\n", "\r\n")])
def test_several_keys_of_a_file_or_a_program(private, text):
    path = private("credentials", text)
    assert several(f"file:{path}") == PAIR
    assert several(f"cmd:/bin/cat {path}") == PAIR


def test_several_keys_of_a_kubernetes_secret(tmp_path, private):
    env = {"BACKSTAY_SECRETS_DIR": str(tmp_path)}
    for key, value in PAIR.items():
        private(f"longhorn-system/s3/{key}", value)
    assert several("secret:longhorn-system/s3", env) == PAIR
    private("longhorn-system/s3/AWS_ENDPOINTS", "https://s3.example.com\n")
    assert several("secret:longhorn-system/s3", env) == PAIR | {"AWS_ENDPOINTS": "https://s3.example.com"}
    assert refusal(several, "secret:longhorn-system/s3/AWS_ENDPOINTS", env) == (
        "secret:longhorn-system/s3/AWS_ENDPOINTS names a single key, and AWS_ACCESS_KEY_ID and others are needed",
        "Write secret:longhorn-system/s3.",
    )
    message, hint = refusal(several, "secret:longhorn-system/other", env)
    assert message == "secret:longhorn-system/other: there is no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"
    assert hint.startswith(f"Kubernetes Secrets are read where they are mounted, below {tmp_path} ")


def test_several_keys_of_the_environment():
    env = {f"BACKUP_{key}": value for key, value in PAIR.items()}
    assert several("env:BACKUP", env) == PAIR
    del env["BACKUP_AWS_SECRET_ACCESS_KEY"]
    assert refusal(several, "env:BACKUP", env) == (
        "env:BACKUP: there is no AWS_SECRET_ACCESS_KEY",
        "Set BACKUP_AWS_SECRET_ACCESS_KEY.",
    )


def test_a_file_without_the_keys_is_refused_and_not_repeated(private):
    path = private("credentials", "aws_access_key_id = AKIA\nhunter2\n")
    assert refusal(several, f"file:{path}")[0] == f"file:{path}: line 2 is not KEY=VALUE"
    path.write_text("[other]\naws_access_key_id = AKIA\naws_secret_access_key = hunter2\n")
    assert refusal(several, f"file:{path}") == (
        f"file:{path}: there is no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY",
        "Give a line AWS_ACCESS_KEY_ID=..., or an AWS credentials file with a [default] part.",
    )
