//! What to ask of whom to catch up: machines that know peers' claims and their own requests. Mirrors Lighthouse's `network/src/sync`.

pub mod lookup;
pub mod range;
pub mod state;
