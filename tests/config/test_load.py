"""Which file is read, and what is said when there is none or it cannot be."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.fixtures.account import not_root

from backstay.config.load import Origin, load, places
from backstay.core.errors import ConfigError


@pytest.fixture
def written(tmp_path, minimal):
    """Writes a valid configuration of its own cluster name below ``tmp_path``."""

    def write(name, cluster):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(minimal.replace("home\n", f"{cluster}\n", 1))
        return path

    return write


def refusal(path, env=None, cwd=None):
    with pytest.raises(ConfigError) as caught:
        load(path, env or {}, cwd=cwd)
    return caught.value


def test_the_first_place_that_has_one_is_read(tmp_path, written):
    named, variable, here = (
        written("a.yaml", "named"),
        written("b.yaml", "variable"),
        written("here/backstay.yaml", "here"),
    )
    written("xdg/backstay/backstay.yaml", "xdg")
    env = {"BACKSTAY_CONFIG": str(variable), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert load(named, env, cwd=here.parent).config.cluster == "named"
    assert load(None, env, cwd=here.parent).config.cluster == "variable"
    del env["BACKSTAY_CONFIG"]
    assert load(None, env, cwd=here.parent).config.cluster == "here"
    assert load(None, env, cwd=tmp_path).config.cluster == "xdg"


def test_places():
    assert list(places({"HOME": "/home/me"}, Path())) == [
        Path("backstay.yaml"),
        Path("/home/me/.config/backstay/backstay.yaml"),
        Path("/etc/backstay/backstay.yaml"),
    ]
    assert list(places({"XDG_CONFIG_HOME": "relative"}, Path()))[1:] == [Path("/etc/backstay/backstay.yaml")]


def test_no_configuration_at_all(tmp_path):
    if Path("/etc/backstay/backstay.yaml").exists():
        pytest.skip("this machine has a configuration of its own")
    error = refusal(None, cwd=tmp_path)
    assert error.message == "there is no configuration"
    assert error.hint == (
        f"`backstay init` writes one. Looked for {tmp_path}/backstay.yaml, /etc/backstay/backstay.yaml."
    )


def test_a_named_file_that_is_not_there(tmp_path):
    assert refusal(tmp_path / "x.yaml").message == f"there is no file {tmp_path}/x.yaml"
    error = refusal(None, {"BACKSTAY_CONFIG": f"{tmp_path}/x.yaml"})
    assert error.message == f"there is no file {tmp_path}/x.yaml"
    assert error.hint == "The environment variable BACKSTAY_CONFIG names it."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "{path} is empty"),
        (b"# only words\n", "{path} is empty"),
        (b"cluster: x\nuser: \xff\n", "{path}:2: is not text in UTF-8"),
        (b"#" * 1_048_577, "{path} is larger than 1 MiB"),
        (b"- a\n- b\n", "{path}:1: must be a section with keys, not a list"),
        (b"just words\n", "{path}:1: must be a section with keys, not the text 'just words'"),
        (b"cluster: a\x00b\n", "{path}:1: is not valid YAML: control characters are not allowed"),
    ],
)
def test_what_is_not_a_configuration(tmp_path, data, message):
    path = tmp_path / "backstay.yaml"
    path.write_bytes(data)
    assert refusal(path).message == message.format(path=path)


def test_a_folder_cannot_be_read(tmp_path):
    assert refusal(tmp_path).message == f"{tmp_path} cannot be read: Is a directory"


@pytest.fixture
def somebody():
    """Not root, who may read everything."""
    with not_root():
        yield


def test_a_file_without_the_right_to_read_it(somebody):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backstay.yaml"
        path.write_text("cluster: home")
        path.chmod(0)
        assert refusal(path).message == f"{path} cannot be read: Permission denied"


@pytest.fixture
def closed(minimal):
    """A home that its owner alone may enter, which is not us, with a configuration; and one beside it for everyone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        (home / ".config/backstay").mkdir(parents=True)
        (home / ".config/backstay/backstay.yaml").write_text(minimal)
        (Path(folder) / "open.yaml").write_text(minimal)
        home.chmod(0o700 if os.geteuid() == 0 else 0)
        yield home
        home.chmod(0o700)


def test_a_home_that_may_not_be_entered(closed, somebody):
    error = refusal(None, {"HOME": str(closed)}, cwd=closed.parent)
    assert error.message == f"{closed}/.config/backstay/backstay.yaml cannot be looked at: Permission denied"
    assert "--config or BACKSTAY_CONFIG" in error.hint
    assert "HOME" in error.hint


def test_a_home_that_may_not_be_entered_is_left_alone_where_a_file_is_named(closed, somebody):
    named = closed.parent / "open.yaml"
    assert load(named, {"HOME": str(closed)}).config.cluster == "home"
    assert load(None, {"HOME": str(closed), "BACKSTAY_CONFIG": str(named)}).config.cluster == "home"


def test_a_named_file_that_may_not_be_looked_at(closed, somebody):
    error = refusal(None, {"BACKSTAY_CONFIG": f"{closed}/backstay.yaml"})
    assert error.message == f"{closed}/backstay.yaml cannot be looked at: Permission denied"
    assert error.hint == "The environment variable BACKSTAY_CONFIG names it."
    assert refusal(closed / "backstay.yaml").message == f"{closed}/backstay.yaml cannot be read: Permission denied"


def test_a_byte_order_mark_does_not_matter(tmp_path, minimal):
    path = tmp_path / "backstay.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + minimal.encode())
    assert load(path, {}).config.cluster == "home"


def test_what_is_kept_of_the_file(tmp_path):
    text = "cluster: ${NAME}\nstores:\n  main:\n    url: s3://home-backups\n    region:\n"
    path = tmp_path / "backstay.yaml"
    path.write_text(text)
    loaded = load(path, {"NAME": "home"})
    assert (loaded.path, loaded.text) == (path, text)
    assert loaded.origins == {
        (): Origin(1),
        ("cluster",): Origin(1, ("NAME",)),
        ("stores",): Origin(2),
        ("stores", "main"): Origin(3),
        ("stores", "main", "url"): Origin(4),
    }


def test_pydantic_is_imported_only_when_a_configuration_is_loaded():
    program = (
        "import sys; import backstay.config, backstay.config.load, backstay.config.secrets, backstay.config.resolved;"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'pydantic', 'pydantic_core', 'cronsim'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
