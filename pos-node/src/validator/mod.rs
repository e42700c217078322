//! What a validator needs to act for itself: so far the rules that keep it from signing contradictions.

pub mod interchange;
pub mod protection;
