"""The live chain, without any device library: what flows, who passes it on, and what they ask of each other.

affect: what leaves the engine twice a second · protocols: what is asked of sources, sinks, engines and listeners ·
controls: what may change while a session runs · ring: sound between two threads · engine: samples in, emissions out ·
multichannel: an engine for each channel · session: source to sinks · replay: a recording to sinks · signals: Ctrl-C
and its kin
"""
