"""What was said in the conversations of the demonstration. All of it is invented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation.

    Attributes:
        ago: hours before now at which it begins.
        steps: pairs of what happens and its words. ``says``: the customer; ``take``, ``answer``, ``note``: a member of
            the team; ``resolve``: with how; ``rate``: score and comment; ``useful``: yes or no, about the hand-off.
    """

    name: str
    email: str
    ago: float
    steps: tuple[tuple[str, str], ...]


TALKS = (
    Talk(
        "Ingrid Solberg", "ingrid.solberg@example.com", 0.2,
        (("says", "Hi! My lamp arrived broken and I want to talk to a person please"),),
    ),
    Talk(
        "Marcus Webb", "marcus.webb@example.com", 0.1,
        (("says", "How long does delivery take?"),),
    ),
    Talk(
        "Priya Nair", "priya.nair@example.com", 0.7,
        (
            ("says", "The charger gets very hot and smells burnt. I am scared to use it. Can I speak to someone?"),
            ("take", "agent"),
            ("answer", "Hello Priya, please unplug it now and do not use it again. Are you all right?"),
            ("says", "Yes, nothing happened. But the plastic melted a little."),
            ("note", "Second report of a hot charger this week. Raising it with Lea."),
        ),
    ),
    Talk(
        "", "", 3,
        (("says", "hello"), ("says", "Can I return something I bought three weeks ago?"), ("resolve", "confirmed"),
         ("rate", "5 Quick and clear.")),
    ),
    Talk(
        "Jonas Krause", "jonas.krause@example.com", 5,
        (("says", "Which payment methods do you take?"), ("says", "thanks"), ("resolve", "confirmed"), ("rate", "4 ")),
    ),
    Talk(
        "Amelie Fournier", "amelie.fournier@example.com", 26,
        (
            ("says", "I was charged twice for the same order, I need a human"),
            ("take", "agent"),
            ("answer", "Hello Amelie, I see both payments. The second one is a reservation that your bank drops by itself."),
            ("says", "Ah, I see it disappeared. Thank you!"),
            ("answer", "Glad it is solved."),
            ("resolve", "person"), ("useful", "yes"), ("rate", "5 Abel was very kind."),
        ),
    ),
    Talk(
        "Tom Keller", "tom.keller@example.com", 30,
        (
            ("says", "This is the third time I ask!! Where is my refund? Let me talk to a person"),
            ("take", "lead"),
            ("answer", "I am sorry, Tom. Your refund left us yesterday; your bank needs three to five working days."),
            ("resolve", "person"), ("useful", "no"), ("rate", "2 Took too long."),
        ),
    ),
    Talk("Lucia Moretti", "lucia.moretti@example.com", 50, (("says", "Do you ship to Switzerland?"), ("resolve", "assumed"))),
)  # fmt: skip
