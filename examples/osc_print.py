"""The other end of OSC: prints where the music is on the plane, and the cell of the heatmap that is likeliest.

python examples/osc_print.py        in one terminal, and
valaro demo                         in another (it sends to port 9000, as does `valaro listen --osc 127.0.0.1:9000`)
"""

import sys

from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer


def va(_address: str, valence: float, arousal: float) -> None:
    """Both from -1 to 1."""
    print(f"valence {valence:+.2f}  arousal {arousal:+.2f}", flush=True)


def heatmap(_address: str, *cells: float) -> None:
    """121 cells, index = 11 * row + column: rows go up with arousal, columns with valence."""
    hottest = max(range(len(cells)), key=lambda index: cells[index])
    row, column = divmod(hottest, 11)
    print(f"  likeliest: {cells[hottest]:.1%} in row {row} of arousal, column {column} of valence", flush=True)


def main(port: int) -> None:
    dispatcher = Dispatcher()
    dispatcher.map("/valaro/va", va)
    dispatcher.map("/valaro/heatmap", heatmap)
    server = BlockingOSCUDPServer(("127.0.0.1", port), dispatcher)
    print(f"listening on port {port}, until Ctrl-C", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
