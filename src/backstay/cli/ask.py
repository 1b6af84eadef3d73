"""Questions before something is changed. Without somebody to answer, the answer is no."""

from backstay.cli.session import Session
from backstay.core.errors import Declined

NOTHING = "Nothing has been changed."


def confirm_name(session: Session, name: str, given: str | None, about: str) -> None:
    """Have the target's name typed, or compare the one given by ``--confirm``. ``about`` is the plan in words, for
    whoever has not been shown it yet. Raises ``Declined``."""
    if given is not None:
        if given != name:
            raise Declined(f"--confirm says {given}, and this is about {name}", hint=NOTHING)
        return
    if not session.can_ask:
        raise Declined(
            f"{name} has live data, and there is nobody to confirm", hint=f"{NOTHING} Add --confirm {name} to go on."
        )
    if _answer(session, f"Type the target's name to go on ({name}): ", about) != name:
        raise Declined("the name was not typed", hint=NOTHING)


def confirm_yes(session: Session, question: str, *, given: bool, about: str) -> None:
    """Have ``y`` typed, unless ``--yes`` was given; ``about`` as above. Raises ``Declined``."""
    if given:
        return
    if not session.can_ask:
        raise Declined("there is nobody to confirm", hint=f"{NOTHING} Add --yes to go on.")
    if _answer(session, f"{question} [y/N] ", about).lower() not in {"y", "yes"}:
        raise Declined("the answer was no", hint=NOTHING)


def _answer(session: Session, question: str, about: str) -> str:
    output = session.output
    if output.quiet or output.as_json:
        question = f"{about}\n{question}"
    output.ask(question)
    return session.answer()
