//! Who is asked and for how long: the validators of a chain, answers that are waited for, and validators that are not
//! asked for a while. Pure; sockets are elsewhere. Mirrors `snow/networking`.

pub mod bench;
pub mod outbox;
pub mod timeouts;
pub mod validators;
