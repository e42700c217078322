//! What keeps a validator from signing contradictions: the rules ([`rules`]), their file format ([`interchange`]) and
//! the database that remembers across restarts ([`database`]).

pub mod database;
pub mod interchange;
pub mod rules;
