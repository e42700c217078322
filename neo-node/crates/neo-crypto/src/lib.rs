//! Hashes, curves, key formats.
