//! Attributes of transactions. Mirrors `Payloads/TransactionAttribute.cs` and its subclasses.

use shared_vendor::bytes::{Reader, Writer};

use crate::{
    codec::{DecodeError, Result, Wire, read_var_bytes, write_var_bytes},
    hash::UInt256,
};

/// Largest result of an oracle.
const MAX_ORACLE_RESULT: usize = 65535;

/// A property of a transaction beyond its script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// Goes before others; only the committee may use it.
    HighPriority,
    /// The answer to an oracle request.
    OracleResponse {
        /// Number of the request.
        id: u64,
        /// How the request ended.
        code: OracleCode,
        /// What was found, at most 65535 bytes; empty unless the code is `Success`.
        result: Vec<u8>,
    },
    /// Not valid below this height.
    NotValidBefore(u32),
    /// Cannot be on the chain together with this transaction.
    Conflicts(UInt256),
    /// Signatures are collected by notary nodes; the number of keys they wait for.
    NotaryAssisted(u8),
}

impl Attribute {
    /// The type byte of the wire form.
    #[must_use]
    pub fn type_byte(&self) -> u8 {
        match self {
            Self::HighPriority => 0x01,
            Self::OracleResponse { .. } => 0x11,
            Self::NotValidBefore(_) => 0x20,
            Self::Conflicts(_) => 0x21,
            Self::NotaryAssisted(_) => 0x22,
        }
    }

    /// True when a transaction may hold several of this type.
    #[must_use]
    pub fn allows_multiple(&self) -> bool {
        matches!(self, Self::Conflicts(_))
    }
}

impl Wire for Attribute {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(match reader.u8()? {
            0x01 => Self::HighPriority,
            0x11 => {
                let id = reader.u64_le()?;
                let code = OracleCode::from_byte(reader.u8()?)
                    .ok_or(DecodeError::Invalid("unknown code of an oracle response"))?;
                let result = read_var_bytes(reader, MAX_ORACLE_RESULT)?.to_vec();
                if code != OracleCode::Success && !result.is_empty() {
                    return Err(DecodeError::Invalid("failed oracle response has a result"));
                }
                Self::OracleResponse { id, code, result }
            }
            0x20 => Self::NotValidBefore(reader.u32_le()?),
            0x21 => Self::Conflicts(Wire::read(reader)?),
            0x22 => Self::NotaryAssisted(reader.u8()?),
            _ => return Err(DecodeError::Invalid("unknown type of attribute")),
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.type_byte());
        match self {
            Self::HighPriority => {}
            Self::OracleResponse { id, code, result } => {
                writer.u64_le(*id).u8(code.to_byte());
                write_var_bytes(writer, result);
            }
            Self::NotValidBefore(height) => {
                writer.u32_le(*height);
            }
            Self::Conflicts(hash) => hash.write(writer),
            Self::NotaryAssisted(keys) => {
                writer.u8(*keys);
            }
        }
    }
}

macro_rules! oracle_codes {
    ($($(#[$doc:meta])* $name:ident = $byte:literal,)*) => {
        /// How an oracle request ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum OracleCode {
            $($(#[$doc])* $name,)*
        }

        impl OracleCode {
            /// The code with this byte.
            #[must_use]
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The byte of the code.
            #[must_use]
            pub fn to_byte(self) -> u8 {
                match self {
                    $(Self::$name => $byte,)*
                }
            }
        }
    };
}

oracle_codes! {
    /// The result is in the response.
    Success = 0x00,
    /// The scheme of the address is not served.
    ProtocolNotSupported = 0x10,
    /// The oracle nodes saw different answers.
    ConsensusUnreachable = 0x12,
    /// Nothing is there.
    NotFound = 0x14,
    /// The source did not answer in time.
    Timeout = 0x16,
    /// The source refused.
    Forbidden = 0x18,
    /// The answer is larger than allowed.
    ResponseTooLarge = 0x1a,
    /// The response costs more than the request paid for.
    InsufficientFunds = 0x1c,
    /// The type of the content is not served.
    ContentTypeNotSupported = 0x1f,
    /// Anything else.
    Error = 0xff,
}
