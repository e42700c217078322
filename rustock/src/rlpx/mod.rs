//! RLPx: the encrypted transport between nodes.
