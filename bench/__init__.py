"""The gateway beside its peers: one core each, the same load, interleaved; what is reported was measured here."""
