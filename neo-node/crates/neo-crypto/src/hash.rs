//! Hash functions of the protocol. Mirrors `Cryptography/Helper.cs`, `Murmur32.cs` and `Murmur128.cs`.

use blake2::{Blake2b256, Blake2b512};
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};
use sha3::Keccak256;

/// SHA-256; the hash of block headers, transactions and extensible payloads.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// SHA-256 applied twice; Merkle nodes, state trie nodes, NEF checksums, Base58Check.
#[must_use]
pub fn hash256(data: &[u8]) -> [u8; 32] {
    sha256(&sha256(data))
}

/// RIPEMD-160.
#[must_use]
pub fn ripemd160(data: &[u8]) -> [u8; 20] {
    Ripemd160::digest(data).into()
}

/// RIPEMD-160 of SHA-256; the hash of scripts.
#[must_use]
pub fn hash160(data: &[u8]) -> [u8; 20] {
    ripemd160(&sha256(data))
}

/// Keccak-256 with the padding used before standardisation as SHA-3.
#[must_use]
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    Keccak256::digest(data).into()
}

/// BLAKE2b with 32 bytes of output.
#[must_use]
pub fn blake2b_256(data: &[u8]) -> [u8; 32] {
    Blake2b256::digest(data).into()
}

/// BLAKE2b with 64 bytes of output.
#[must_use]
pub fn blake2b_512(data: &[u8]) -> [u8; 64] {
    Blake2b512::digest(data).into()
}

/// MurmurHash3 x86 32 bit; the bytes are the value in little-endian order.
#[must_use]
pub fn murmur32(mut data: &[u8], seed: u32) -> [u8; 4] {
    murmur3::murmur3_32(&mut data, seed).expect("reading from memory cannot fail").to_le_bytes()
}

/// MurmurHash3 x64 128 bit; the bytes are both halves in little-endian order.
#[must_use]
pub fn murmur128(mut data: &[u8], seed: u32) -> [u8; 16] {
    murmur3::murmur3_x64_128(&mut data, seed).expect("reading from memory cannot fail").to_le_bytes()
}
