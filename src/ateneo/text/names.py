"""What may name a company, a key or a person: one rule for all of them, wherever the name comes from."""

from ateneo.i18n import tr

LONGEST_NAME = 200


def is_printable(text: str) -> bool:
    """Whether PostgreSQL can store it and a terminal can show it, in 200 characters: of Unicode's categories C and Z
    (controls, marks of direction, lone surrogates, line ends) it has the blank alone."""
    return len(text) <= LONGEST_NAME and text.isprintable()


def is_name(text: object) -> bool:
    """Whether it is such a text, and more than blanks."""
    return isinstance(text, str) and is_printable(text) and bool(text.strip())


def name_rule() -> str:
    """For the error about what is none."""
    return tr("son de 1 a 200 caracteres imprimibles", "it takes 1 to 200 printable characters")
