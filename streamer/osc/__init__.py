"""OSC in both directions, over UDP.

- ``packets``: An emission as OSC packets.
- ``sink``: Sends emissions to a destination.
- ``pattern``: Matches address patterns.
- ``commands``: Parses and checks incoming messages.
- ``dispatch``: Applies a checked command to the session's controls.
- ``senders``: How much each sender may send, and what is remembered of it.
- ``touch_pad``: Turns the movements of fingers on XY pads into ratings.
- ``udp``: The socket that OSC comes in by.
- ``receiver``: Listens on a UDP port.
- ``query``: The OSCQuery server.
"""
