"""The promises of Pinrail, each a sentence that a test proves on real parts."""
