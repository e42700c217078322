//! What Neo nodes say to each other: [`frame`] finds messages in a stream and undoes their compression, [`message`]
//! gives the bytes a meaning, [`payload`] holds what the messages carry. All pure and bounded. Not here: sockets, the
//! sessions of peers, and what blocks and transactions mean.

pub mod frame;
pub mod message;
pub mod payload;

pub use frame::{Frame, FrameError};
pub use message::{Message, MessageError};
