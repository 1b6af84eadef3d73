"""Every object of a backup given to the live cluster as a dry run."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from backstay.cluster.base import Object
from backstay.tiers.objects.archive.spooled import Spooled
from backstay.tiers.objects.change.kinds import drop_node_ports
from backstay.tiers.objects.change.leave import NEVER, Around
from backstay.tiers.objects.change.transform import Left, Ready, Transform
from backstay.tiers.objects.drill.around import groups_elsewhere
from backstay.tiers.objects.drill.fence import Fenced
from backstay.tiers.objects.live import live_objects
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.request import Options, Policy
from backstay.tiers.objects.restore.served import Served
from backstay.tiers.objects.restore.survey import Survey


def tried(
    fence: Fenced, archive: Spooled, spaces: Mapping[str, str], stamp: str, folder: Path
) -> tuple[Survey, dict[str, str]]:
    """What the API server says of each, and the kinds that cannot be tried, with the reason. ``spaces`` maps the
    backup's namespaces to the drill's; ``folder`` is for what is live. Raises what the cluster raises."""
    served = Served(fence)
    unable = _unable(archive, served, groups_elsewhere(fence))
    options = Options(exclude_resources=tuple(unable), namespace_map=spaces, existing=Policy.UPDATE)
    chosen = Chosen(options, archive, served.kinds)
    with live_objects(folder) as live:
        survey = Survey(fence, options, chosen, served, Mapped(options, chosen, stamp), live)
        survey.look()
    return survey, unable


class Mapped(Transform):
    """Objects go into the namespaces of the drill, without ports that the live ones may have; those in no namespace
    stay what they are, to be held against the live ones."""

    def __init__(self, options: Options, around: Around, stamp: str) -> None:
        super().__init__(options, around, stamp)
        self._as_it_is = Transform(replace(options, namespace_map={}), around, stamp)

    def __call__(self, resource: str, stored: Object) -> Ready | Left:
        """See ``Transform``."""
        if not stored["metadata"].get("namespace"):
            return self._as_it_is(resource, stored)
        made = super().__call__(resource, stored)
        if resource == "services" and isinstance(made, Ready):
            drop_node_ports(made.body)
        return made


def _unable(archive: Spooled, served: Served, elsewhere: Collection[str]) -> dict[str, str]:
    """Kinds of the backup that cannot be tried, each with the reason."""
    found = {}
    for name in archive.resources():
        if name in NEVER:
            continue
        if name not in served.kinds:
            found[name] = "the cluster does not have this kind"
        elif served.kinds[name].group in elsewhere:
            found[name] = "another API server has it, which may not know dry runs"
    return found
