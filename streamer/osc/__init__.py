"""OSC in both directions, over UDP.

- ``packets``: An emission as OSC packets.
- ``sink``: Sends emissions to a destination.
- ``commands``: Parses and checks incoming messages.
- ``dispatch``: Applies a checked command to the session's controls.
- ``touch_pad``: Turns the movements of a finger on an XY pad into ratings.
- ``receiver``: Listens on a UDP port.
- ``query``: The OSCQuery server.
"""
