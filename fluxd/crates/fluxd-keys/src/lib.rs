//! Keys out of a seed: transparent ones by BIP-32, those of Sapling by ZIP-32, their texts, and the notes that viewing keys
//! open. Pure functions; where seeds come from and where keys are kept is the caller's. The arithmetic of Sapling is that
//! of `sapling-crypto`. Mirrors `src/zcash/zip32.cpp`, `src/zcash/Note.cpp` and the formats of `src/key_io.cpp`.

pub mod notes;
pub mod sapling;
pub mod transparent;

/// Added to the index of a child that only the private key leads to.
pub const HARDENED: u32 = 1 << 31;

/// The path of an account: purpose, coin and number, each hardened (BIP-44 and ZIP-32).
#[must_use]
pub fn account_path(purpose: u32, coin: u32, account: u32) -> [u32; 3] {
    [purpose, coin, account].map(|number| number | HARDENED)
}
