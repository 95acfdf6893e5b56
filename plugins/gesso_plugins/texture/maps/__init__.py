"""Material maps of any picture by a small network: its training on renders whose maps are known, and its measure."""
