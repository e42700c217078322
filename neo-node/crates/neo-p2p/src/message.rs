//! Messages by command. Mirrors `Network/P2P/MessageCommand.cs`.

use neo_base::{
    codec::{DecodeError, Wire, read_var_bytes, write_var_bytes},
    ledger::{Block, Extensible, Transaction},
};
use shared_vendor::bytes::{Reader, Writer};

use crate::{
    frame::{Frame, FrameError},
    payload::{
        AddressList, BlockRequest, FilterLoad, HashRequest, Hashes, HeaderList, MAX_FILTER_ADD, MerkleBlock,
        Ping, Version,
    },
};

/// Why a frame is no message. The peer is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The frame's payload cannot be decompressed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The payload is not what the command carries.
    #[error("malformed payload of command {command:#04x}")]
    Payload {
        /// The command.
        command: u8,
        /// What is wrong.
        source: DecodeError,
    },
}

macro_rules! messages {
    ($($(#[$doc:meta])* $command:literal $name:ident $(($payload:ty))? $(compress $compress:literal)?,)*) => {
        /// One message. Commands that the protocol does not know are kept as such: a node ignores them.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Message {
            $($(#[$doc])* $name $((Box<$payload>))?,)*
            /// A command of another version.
            Unknown(u8),
        }

        impl Message {
            /// Its command.
            #[must_use]
            pub fn command(&self) -> u8 {
                match self {
                    $(messages!(@pattern $name $($payload)?) => $command,)*
                    Self::Unknown(command) => *command,
                }
            }

            /// Whether messages of this kind are worth compressing.
            fn is_large(&self) -> bool {
                match self {
                    $(messages!(@pattern $name $($payload)?) => messages!(@flag $($compress)?),)*
                    Self::Unknown(_) => false,
                }
            }

            /// Reads a payload.
            fn decode_payload(command: u8, payload: &[u8]) -> Result<Self, DecodeError> {
                Ok(match command {
                    $($command => messages!(@decode payload $name $($payload)?),)*
                    other => Self::Unknown(other),
                })
            }

            fn encode_payload(&self) -> Vec<u8> {
                match self {
                    $(messages!(@bind payload $name $($payload)?) => messages!(@encode payload $($payload)?),)*
                    Self::Unknown(_) => Vec::new(),
                }
            }
        }
    };
    (@pattern $name:ident) => { Self::$name };
    (@pattern $name:ident $payload:ty) => { Self::$name(_) };
    (@bind $value:ident $name:ident) => { Self::$name };
    (@bind $value:ident $name:ident $payload:ty) => { Self::$name($value) };
    (@flag) => { false };
    (@flag $compress:literal) => { $compress };
    (@decode $bytes:ident $name:ident) => { Self::$name };
    (@decode $bytes:ident $name:ident $payload:ty) => { Self::$name(Box::new(<$payload>::read(&mut Reader::new($bytes))?)) };
    (@encode $value:ident) => { Vec::new() };
    (@encode $value:ident $payload:ty) => { $value.to_bytes() };
}

messages! {
    /// Who I am; first on both sides.
    0x00 Version(Version),
    /// I accept who you are.
    0x01 Verack,
    /// Tell me of other nodes.
    0x10 GetAddresses,
    /// Other nodes.
    0x11 Addresses(AddressList) compress true,
    /// Are you there? My height is this.
    0x18 Ping(Ping),
    /// I am; my height is this.
    0x19 Pong(Ping),
    /// Send headers.
    0x20 GetHeaders(BlockRequest),
    /// Headers.
    0x21 Headers(HeaderList) compress true,
    /// Send hashes of blocks.
    0x24 GetBlocks(HashRequest),
    /// Send hashes of what waits in your mempool.
    0x25 Mempool,
    /// I have these.
    0x27 Inventory(Hashes),
    /// Send these.
    0x28 GetData(Hashes),
    /// Send blocks.
    0x29 GetBlocksByIndex(BlockRequest),
    /// I do not have these.
    0x2a NotFound(Hashes),
    /// A transaction.
    0x2b Transaction(Transaction) compress true,
    /// A block.
    0x2c Block(Block) compress true,
    /// A message of consensus or of the state service.
    0x2e Extensible(Extensible) compress true,
    /// Reserved; carries nothing that is read.
    0x2f Reject,
    /// Send me only what matches this filter.
    0x30 FilterLoad(FilterLoad) compress true,
    /// Add this to my filter.
    0x31 FilterAdd(FilterAddition) compress true,
    /// Send me everything again.
    0x32 FilterClear,
    /// A block as a filter sees it.
    0x38 MerkleBlock(MerkleBlock) compress true,
    /// Reserved; carries nothing that is read.
    0x40 Alert,
}

impl Message {
    /// Reads a frame. Payloads of messages that carry none are ignored; bytes after a payload are too, as the reference
    /// ignores both.
    ///
    /// # Errors
    /// The payload cannot be decompressed or is not what the command carries.
    pub fn decode(frame: &Frame<'_>) -> Result<Self, MessageError> {
        let command = frame.command();
        let payload = frame.payload()?;
        Self::decode_payload(command, &payload).map_err(|source| MessageError::Payload { command, source })
    }

    /// The frame to send; `compress` says whether the receiver takes compressed ones.
    #[must_use]
    pub fn frame(&self, compress: bool) -> Frame<'static> {
        Frame::new(self.command(), self.encode_payload(), compress && self.is_large())
    }
}

/// `filteradd`: up to [`MAX_FILTER_ADD`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterAddition(pub Vec<u8>);

impl Wire for FilterAddition {
    fn read(reader: &mut Reader<'_>) -> neo_base::codec::Result<Self> {
        Ok(Self(read_var_bytes(reader, MAX_FILTER_ADD)?.to_vec()))
    }

    fn write(&self, writer: &mut Writer) {
        write_var_bytes(writer, &self.0);
    }
}

#[cfg(test)]
mod tests;
