//! The table of methods. One file for each group of the reference's documentation.

mod blockchain;
mod contract;
mod node;
mod state;
mod subscribe;
mod tokens;
mod utility;

use shared_vendor::rpc::{Methods, ParamDoc};

use crate::context::Context;

/// All methods.
#[must_use]
pub fn methods() -> Methods<Context> {
    let mut methods = Methods::new();
    node::add(&mut methods);
    blockchain::add(&mut methods);
    contract::add(&mut methods);
    state::add(&mut methods);
    subscribe::add(&mut methods);
    tokens::add(&mut methods);
    utility::add(&mut methods);
    methods
}

const fn param(name: &'static str, help: &'static str) -> ParamDoc {
    ParamDoc { name, help, optional: false }
}

const fn option(name: &'static str, help: &'static str) -> ParamDoc {
    ParamDoc { name, help, optional: true }
}
