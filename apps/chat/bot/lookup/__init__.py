"""Looking up how an order or a subscription stands, for whoever proved that it is theirs.

``proof`` is the way to get in, ``orders`` and ``subscriptions`` read as little as an answer needs.
"""
