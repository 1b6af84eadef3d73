"""``backstay demo``: the one entry point of this package for the command line."""

import signal
import sys
from pathlib import Path
from types import FrameType

from backstay.core.errors import Interrupted
from backstay.core.units import format_duration
from backstay.demo.story import Story
from backstay.demo.world import World


def run(folder: Path, keep: bool = False, stop: bool = False) -> int:
    """Tell the story in ``folder``, or with ``stop`` end what ``keep`` left running there. Returns 0.

    The servers end and the folder goes unless ``keep``; after an error the folder stays, for its logs. Raises what
    the story raises, and ``Interrupted`` on Ctrl-C and SIGTERM after the same cleaning up.
    """
    world = World(folder)
    if stop:
        return _stop(world)
    handler = signal.signal(signal.SIGTERM, _interrupt)
    try:
        world.claim()
        story = Story(world, _say)
        story.tell()
    except KeyboardInterrupt:
        world.stop()
        world.remove()
        raise Interrupted(
            "the demo was interrupted", hint="Its servers are stopped and its folder is removed."
        ) from None
    except BaseException:
        world.stop()
        raise
    finally:
        signal.signal(signal.SIGTERM, handler)
    end(world, story, keep=keep)
    return 0


def end(world: World, story: Story, *, keep: bool) -> None:
    """Sum the story up, and clear away what was used, or say how to go on with it."""
    _say(
        f"\nFour databases and the state of a cluster backed up; one database dropped, one damaged, etcd lost; all "
        f"restored and equal to the last byte, in {format_duration(round(story.seconds))} from nothing."
    )
    if keep:
        _say(_what_next(world))
        return
    world.stop()
    world.remove()
    _say("The servers are stopped and the folder is removed. To look around: backstay demo --keep")
    _say("Kubernetes objects on a real cluster with pods, as root and from a checkout: backstay demo --cluster")


def _stop(world: World) -> int:
    left, running = world.folder.exists(), world.stop()
    world.remove()
    said = f"stopped, and removed {world.folder}" if running else f"removed {world.folder}; nothing was running"
    _say(said if left else f"there is no demo in {world.folder}")
    return 0


def _what_next(world: World) -> str:
    postgres = world.postgres
    address = f"-h {postgres.host} -p {postgres.port} -U {postgres.superuser}"
    return f"""
The servers keep running. To try next:

  export BACKSTAY_CONFIG={world.config}
  backstay status
  backstay show postgres/museum@latest
  backstay restore postgres/shop --to shop_copy
  PGPASSWORD=$(cat {postgres.password_file}) {postgres.program("psql")} {address} flights

To end them and remove {world.folder}:

  backstay demo --stop{world.option}"""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
