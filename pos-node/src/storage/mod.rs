//! The only module that names the database engine (SQLite). So far it holds the record of what validators signed; it
//! knows rows, not rules.

pub mod schema;
pub mod signed;
