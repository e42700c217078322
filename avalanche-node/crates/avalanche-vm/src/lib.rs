//! What the virtual machines of the network share: UTXOs, the secp256k1, NFT and property fxs, signed transactions, and
//! gas. Only shapes, their encodings and arithmetic; rules about them live with each chain.
//! Mirrors `vms/components` and `vms/{secp256k1fx,nftfx,propertyfx}`.

pub mod avax;
pub mod chain;
pub mod gas;
pub mod nftfx;
pub mod propertyfx;
pub mod secp256k1fx;
