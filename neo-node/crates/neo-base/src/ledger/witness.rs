//! The two scripts that prove consent of an account. Mirrors `Payloads/Witness.cs`.

use neo_crypto::hash::hash160;
use shared_vendor::bytes::{Reader, Writer};

use crate::{
    codec::{self, Result, Wire, read_var_bytes, write_var_bytes},
    hash::UInt160,
};

/// Largest script of a witness.
const MAX_SCRIPT: usize = 1024;

/// Invocation script (pushes arguments) and verification script (judges them). An empty verification script means
/// that a deployed contract verifies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Witness {
    /// At most 1024 bytes.
    pub invocation: Vec<u8>,
    /// At most 1024 bytes.
    pub verification: Vec<u8>,
}

impl Witness {
    /// Hash of the verification script: the account it speaks for.
    #[must_use]
    pub fn script_hash(&self) -> UInt160 {
        UInt160(hash160(&self.verification))
    }
}

impl Wire for Witness {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            invocation: read_var_bytes(reader, MAX_SCRIPT)?.to_vec(),
            verification: read_var_bytes(reader, MAX_SCRIPT)?.to_vec(),
        })
    }

    fn write(&self, writer: &mut Writer) {
        write_var_bytes(writer, &self.invocation);
        write_var_bytes(writer, &self.verification);
    }
}

/// Reads the one witness of a header or payload, which is written as a list.
pub(super) fn read_single(reader: &mut Reader<'_>) -> Result<Witness> {
    match codec::read_var_int(reader)? {
        1 => Witness::read(reader),
        _ => Err(codec::DecodeError::Invalid("there must be exactly one witness")),
    }
}
