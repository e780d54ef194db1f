"""What the demonstration's customers asked: by day, words and customer; what becomes of it is for the search to say."""

from __future__ import annotations

# Questions that an article answers.
ANSWERED = (
    "where is my parcel", "how long does delivery take?", "is shipping free", "I typed the wrong address, can you change it",
    "how do i cancel my order", "one lamp is not in the box", "I want to send the lamp back", "when do I get my money back",
    "the glass arrived cracked", "do you take paypal", "my card was declined", "my coupon is not accepted",
    "I need a receipt with VAT", "i forgot my password", "please delete my account", "which bulb fits Pendant Orb",
    "the lamp flickers with my dimmer", "can I wash the tent in the machine", "how long is the guarantee",
    "how do i stop the newsletter", "my tracking page does not change", "where is my refund, it has been a week",
)  # fmt: skip
# Groups of questions that none does yet: each becomes a gap. Customers differ, so that gaps are ranked by them.
MISSED = (
    (
        "Do you have a shop in Oslo where I can see the lamps?", "Where can I see your lamps in a showroom?",
        "Is there a showroom where I can look at the lamps?", "Can I see the lamps in a showroom before I buy?",
        "Do you have a showroom for lamps in my city?", "Where is your showroom for the lamps?",
    ),
    (
        "Can I rent a tent for a weekend?", "Do you rent out tents?", "Is it possible to rent a tent for two weeks?",
        "How much is it to rent a tent?",
    ),
    (
        "Do you have gift wrapping?", "Can you gift wrap the lamp with a card?", "Is gift wrapping possible for my order?",
    ),
    ("Can the pendant lamp be hung on a sloping ceiling?", "Does the pendant lamp hang straight on a sloped ceiling?"),
)  # fmt: skip
# What readers said: slug, helpful, reason, words, how many.
FEEDBACK = (
    ("where-is-my-parcel", True, "", "", 31),
    ("where-is-my-parcel", False, "incomplete", "What if the carrier says it was delivered?", 4),
    ("when-do-i-get-my-money-back", True, "", "", 19),
    ("when-do-i-get-my-money-back", False, "unclear", "", 3),
    ("return-an-item", True, "", "", 24),
    ("discount-code-does-not-work", True, "", "", 4),
    ("discount-code-does-not-work", False, "wrong", "The code field is somewhere else now.", 9),
    ("payment-failed", True, "", "", 8),
    ("payment-failed", False, "other", "", 2),
    ("care-for-a-tent", True, "", "", 7),
)
