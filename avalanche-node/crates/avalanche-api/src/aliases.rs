//! Other names of chains and paths, given by operators while the node runs, and the one path that each request is answered
//! at. Mirrors the aliases of `api/server/router.go` and `ids/aliases.go`.

use std::collections::BTreeMap;

use avalanche_ids::Id;
use parking_lot::RwLock;

use crate::{Context, format::no_alias};

/// Longest alias.
const MAX_LEN: usize = 512;
/// Before the paths of chains.
const CHAINS: &str = "bc";

/// Names that operators gave.
#[derive(Debug, Default)]
pub struct Aliases {
    chains: RwLock<Vec<(String, Id)>>,
    paths: RwLock<BTreeMap<String, String>>,
}

impl Aliases {
    /// The chain of a name.
    pub(crate) fn chain(&self, name: &str) -> Option<Id> {
        self.chains.read().iter().find(|(known, _)| known == name).map(|(_, chain)| *chain)
    }
}

impl Context {
    /// All names of a chain, the first one being the usual one.
    pub(crate) fn names(&self, chain: Id) -> Vec<String> {
        let fixed = match chain {
            Id::EMPTY => ["P", "platform"],
            chain if chain == self.avm.config().chain_id => ["X", "avm"],
            chain if Some(chain) == self.facts.c_chain => ["C", "evm"],
            _ => return Vec::new(),
        };
        let given = self.aliases.chains.read();
        let given = given.iter().filter(|(_, of)| *of == chain).map(|(name, _)| name.clone());
        fixed.map(str::to_owned).into_iter().chain([chain.to_string()]).chain(given).collect()
    }

    /// Gives a chain another name.
    pub(crate) fn alias_chain(&self, chain: &str, name: &str) -> Result<(), String> {
        too_long(name)?;
        let id = self.alias(chain).ok_or_else(|| no_alias(chain))?;
        if self.alias(name).is_some() {
            return Err(format!("alias already mapped to an ID: {name}"));
        }
        self.aliases.chains.write().push((name.to_owned(), id));
        Ok(())
    }

    /// Gives a path below `/ext` another name.
    pub(crate) fn alias_path(&self, path: &str, name: &str) -> Result<(), String> {
        too_long(name)?;
        let mut paths = self.aliases.paths.write();
        if paths.contains_key(name) {
            return Err(format!("route is either already aliased or already maps to a handle: /ext/{name}"));
        }
        paths.insert(name.to_owned(), path.to_owned());
        Ok(())
    }

    /// The path that answers for another one.
    pub(crate) fn canonical(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix("/ext/")?;
        let given = self.aliases.paths.read();
        let replaced = given.iter().find_map(|(name, path)| Some(format!("{path}{}", below(rest, name)?)));
        let rest = replaced.as_deref().unwrap_or(rest);
        let chain = match rest.split_once('/') {
            Some((CHAINS, chain)) => chain,
            _ => rest,
        };
        let (name, below) = chain.find('/').map_or((chain, ""), |at| chain.split_at(at));
        match self.alias(name) {
            Some(chain) if chain == Id::EMPTY => Some(format!("/ext/bc/P{below}")),
            Some(chain) if chain == self.avm.config().chain_id => Some(format!("/ext/bc/X{below}")),
            _ => replaced.map(|path| format!("/ext/{path}")),
        }
    }
}

fn too_long(name: &str) -> Result<(), String> {
    if name.len() > MAX_LEN { Err("alias length is too long".to_owned()) } else { Ok(()) }
}

/// What follows a path in another one: nothing, or what begins with a slash.
fn below<'a>(path: &'a str, above: &str) -> Option<&'a str> {
    path.strip_prefix(above).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}
