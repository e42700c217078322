//! Snowman consensus. Only the cores exist: parameters, the Snowflake tree over the bits of ids, and the topological
//! vote over a tree of blocks. They are pure structures that answer decisions as data; nothing here asks peers, keeps
//! time, or knows what a block holds. Mirrors `snow/consensus`.

pub mod consensus;
