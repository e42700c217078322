//! What Neo nodes say to each other, and how: [`frame`] finds messages in a stream and undoes their compression,
//! [`message`] gives the bytes a meaning, [`payload`] holds what the messages carry; [`peer`] is the session of one
//! connection, [`sync`] fetches the chain, [`inventory`] fetches what is announced, [`transport`] has the sockets.
//! All but the last are pure. Not here: what blocks and transactions mean; the ledger answers through the node.

pub mod address_book;
pub mod bloom;
pub mod extensible;
pub mod frame;
pub mod inventory;
pub mod message;
pub mod payload;
pub mod peer;
pub mod seen;
pub mod sync;
pub mod transport;

pub use address_book::AddressBook;
pub use extensible::{ExtensiblePool, Refusal};
pub use frame::{Frame, FrameError};
pub use message::{Message, MessageError};
