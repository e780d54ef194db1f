"""The bot: it answers what articles answer, looks up what was proven, and gives everything else to people.

``turns`` owes and delivers answers, ``thinking`` decides what is said, the rest are its parts. What a customer writes is data
everywhere: which step comes next is decided by the state of the conversation and by fixed patterns, never by instructions
in a text.
"""
