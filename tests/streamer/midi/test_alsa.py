from pathlib import Path

from valaro.streamer.midi.alsa import connections

# As Linux 6 writes it, with another client of our name and a port of another name.
CLIENTS = """Client info
  cur  clients : 5
  peak clients : 6
  max  clients : 192

Client   0 : "System" [Kernel Legacy]
  Port   0 : "Timer" (Rwe-) [In/Out]
  Port   1 : "Announce" (R-e-) [In]
    Connecting To: 131:0
Client  14 : "Midi Through" [Kernel Legacy]
  Port   0 : "Midi Through Port-0" (RWe-) [In/Out]
    Connected From: 128:0
Client 128 : "Valaro" [User Legacy]
  Port   0 : "stage" (R-e-) [In]
    Connecting To: 14:0, 130:1[ex]
  Port   1 : "other" (R-e-) [In]
    Connecting To: 129:0
Client 129 : "Synth" [User Legacy]
  Port   0 : "stage" (RWe-) [In/Out]
    Connecting To: 140:0[real:0]
  Output pool :
Client 132 : "Valaro" [User Legacy]
  Port   0 : "stage" (R-e-) [In]
    Connecting To: 129:0
"""


def test_what_a_port_sends_to_is_read(tmp_path: Path) -> None:
    listing = tmp_path / "clients"
    listing.write_text(CLIENTS)
    assert connections("Valaro", "stage", listing) == {"14:0", "130:1", "129:0"}
    assert connections("Valaro", "nobody", listing) == set()


def test_without_a_sequencer_nothing_is_connected(tmp_path: Path) -> None:
    assert connections("Valaro", "stage", tmp_path / "clients") == set()
