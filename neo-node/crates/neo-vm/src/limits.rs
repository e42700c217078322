//! Limits of the machine. Mirrors `ExecutionEngineLimits.cs`.

/// Largest shift, and largest exponent of `POW`.
pub const MAX_SHIFT: u32 = 256;

/// Largest number of references from stacks and slots, counted through arrays and maps.
pub const MAX_STACK_SIZE: i64 = 2048;

/// Largest byte string or buffer.
pub const MAX_ITEM_SIZE: usize = 131_070;

/// Bytes that one comparison may look at.
pub const MAX_COMPARABLE_SIZE: usize = 65_536;

/// Deepest stack of calls.
pub const MAX_INVOCATION_DEPTH: usize = 1024;

/// Deepest nesting of `TRY` in one context.
pub const MAX_TRY_NESTING: usize = 16;

/// Largest map key.
pub const MAX_KEY_SIZE: usize = 64;
