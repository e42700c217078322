//! The messages of one chain, in terms of ids and heights, and their form on the wire. Mirrors `message/*_msg_builder.go`
//! and the handlers of `snow/engine/common/engine.go`.

use std::time::Duration;

use avalanche_ids::Id;
use avalanche_proto::p2p::{self, Body};

/// Longest deadline that a peer may ask for.
pub const MAX_DEADLINE: Duration = Duration::from_secs(10);
/// Most heights or ids taken from one message.
pub const MAX_IDS: usize = 1024;
/// Number of the engine of linear chains in requests for ancestors.
pub const ENGINE_CHAIN: i32 = 2;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Asks for the last accepted block.
    GetAcceptedFrontier,
    /// Its answer.
    AcceptedFrontier(Id),
    /// Asks which of these are accepted.
    GetAccepted(Vec<Id>),
    /// Its answer.
    Accepted(Vec<Id>),
    /// Asks for a block and those below it.
    GetAncestors(Id),
    /// Its answer, from the block asked for downwards.
    Ancestors(Vec<Vec<u8>>),
    /// Asks for a block.
    Get(Id),
    /// Its answer.
    Put(Vec<u8>),
    /// Asks for preferences and tells a block.
    PushQuery {
        /// The block.
        block: Vec<u8>,
        /// Height to tell the preference at.
        height: u64,
    },
    /// Asks for preferences and names a block.
    PullQuery {
        /// The block.
        id: Id,
        /// Height to tell the preference at.
        height: u64,
    },
    /// Answers both.
    Chits {
        /// The preferred tip.
        preferred: Id,
        /// The preferred or accepted block at the height asked for.
        preferred_at_height: Id,
        /// The last accepted block.
        accepted: Id,
        /// Its height.
        accepted_height: u64,
    },
    /// A request of the chain's own protocols.
    AppRequest(Vec<u8>),
    /// Its answer.
    AppResponse(Vec<u8>),
    /// Its refusal.
    AppError {
        /// What went wrong.
        code: i32,
        /// The same for people.
        text: String,
    },
    /// News of the chain's own protocols.
    AppGossip(Vec<u8>),
}

/// A message of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Number of the request; an answer repeats it.
    pub request: u32,
    /// What it says.
    pub content: Content,
}

/// Which answer a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// [`Content::AcceptedFrontier`].
    AcceptedFrontier,
    /// [`Content::Accepted`].
    Accepted,
    /// [`Content::Ancestors`].
    Ancestors,
    /// [`Content::Put`].
    Put,
    /// [`Content::Chits`].
    Chits,
    /// [`Content::AppResponse`] or [`Content::AppError`].
    App,
}

impl Content {
    /// The answer that this request waits for.
    #[must_use]
    pub const fn awaits(&self) -> Option<Answer> {
        match self {
            Self::GetAcceptedFrontier => Some(Answer::AcceptedFrontier),
            Self::GetAccepted(_) => Some(Answer::Accepted),
            Self::GetAncestors(_) => Some(Answer::Ancestors),
            Self::Get(_) => Some(Answer::Put),
            Self::PushQuery { .. } | Self::PullQuery { .. } => Some(Answer::Chits),
            Self::AppRequest(_) => Some(Answer::App),
            _ => None,
        }
    }

    /// The answer that this is.
    #[must_use]
    pub const fn answers(&self) -> Option<Answer> {
        match self {
            Self::AcceptedFrontier(_) => Some(Answer::AcceptedFrontier),
            Self::Accepted(_) => Some(Answer::Accepted),
            Self::Ancestors(_) => Some(Answer::Ancestors),
            Self::Put(_) => Some(Answer::Put),
            Self::Chits { .. } => Some(Answer::Chits),
            Self::AppResponse(_) | Self::AppError { .. } => Some(Answer::App),
            _ => None,
        }
    }
}

impl Message {
    /// The chain and message of an envelope's body; None for what concerns no chain of ours or is malformed.
    #[must_use]
    pub fn from_body(body: Body) -> Option<(Id, Self)> {
        let (chain, request, content) = match body {
            Body::GetAcceptedFrontier(m) => (m.chain_id, m.request_id, Content::GetAcceptedFrontier),
            Body::AcceptedFrontier(m) => {
                (m.chain_id, m.request_id, Content::AcceptedFrontier(id(&m.container_id)?))
            }
            Body::GetAccepted(m) => (m.chain_id, m.request_id, Content::GetAccepted(ids(&m.container_ids)?)),
            Body::Accepted(m) => (m.chain_id, m.request_id, Content::Accepted(ids(&m.container_ids)?)),
            Body::GetAncestors(m) if m.engine_type == ENGINE_CHAIN => {
                (m.chain_id, m.request_id, Content::GetAncestors(id(&m.container_id)?))
            }
            Body::Ancestors(m) => (m.chain_id, m.request_id, Content::Ancestors(m.containers)),
            Body::Get(m) => (m.chain_id, m.request_id, Content::Get(id(&m.container_id)?)),
            Body::Put(m) => (m.chain_id, m.request_id, Content::Put(m.container)),
            Body::PushQuery(m) => {
                let content = Content::PushQuery { block: m.container, height: m.requested_height };
                (m.chain_id, m.request_id, content)
            }
            Body::PullQuery(m) => {
                let content = Content::PullQuery { id: id(&m.container_id)?, height: m.requested_height };
                (m.chain_id, m.request_id, content)
            }
            Body::Chits(m) => {
                let content = Content::Chits {
                    preferred: id(&m.preferred_id)?,
                    preferred_at_height: id(&m.preferred_id_at_height)?,
                    accepted: id(&m.accepted_id)?,
                    accepted_height: m.accepted_height,
                };
                (m.chain_id, m.request_id, content)
            }
            Body::AppRequest(m) => (m.chain_id, m.request_id, Content::AppRequest(m.app_bytes)),
            Body::AppResponse(m) => (m.chain_id, m.request_id, Content::AppResponse(m.app_bytes)),
            Body::AppError(m) => {
                let content = Content::AppError { code: m.error_code, text: m.error_message };
                (m.chain_id, m.request_id, content)
            }
            Body::AppGossip(m) => (m.chain_id, 0, Content::AppGossip(m.app_bytes)),
            _ => return None,
        };
        Some((id(&chain)?, Self { request, content }))
    }

    /// The body of an envelope. `deadline` is how long a request waits.
    #[must_use]
    pub fn into_body(self, chain: Id, deadline: Duration) -> Body {
        let (chain_id, request_id) = (chain.0.to_vec(), self.request);
        let deadline = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
        let list = |ids: &[Id]| ids.iter().map(|id| id.0.to_vec()).collect();
        match self.content {
            Content::GetAcceptedFrontier => {
                Body::GetAcceptedFrontier(p2p::GetAcceptedFrontier { chain_id, request_id, deadline })
            }
            Content::AcceptedFrontier(id) => Body::AcceptedFrontier(p2p::AcceptedFrontier {
                chain_id,
                request_id,
                container_id: id.0.to_vec(),
            }),
            Content::GetAccepted(ids) => Body::GetAccepted(p2p::GetAccepted {
                chain_id,
                request_id,
                deadline,
                container_ids: list(&ids),
            }),
            Content::Accepted(ids) => {
                Body::Accepted(p2p::Accepted { chain_id, request_id, container_ids: list(&ids) })
            }
            Content::GetAncestors(id) => Body::GetAncestors(p2p::GetAncestors {
                chain_id,
                request_id,
                deadline,
                container_id: id.0.to_vec(),
                engine_type: ENGINE_CHAIN,
            }),
            Content::Ancestors(containers) => {
                Body::Ancestors(p2p::Ancestors { chain_id, request_id, containers })
            }
            Content::Get(id) => {
                Body::Get(p2p::Get { chain_id, request_id, deadline, container_id: id.0.to_vec() })
            }
            Content::Put(container) => Body::Put(p2p::Put { chain_id, request_id, container }),
            Content::PushQuery { block, height } => Body::PushQuery(p2p::PushQuery {
                chain_id,
                request_id,
                deadline,
                container: block,
                requested_height: height,
            }),
            Content::PullQuery { id, height } => Body::PullQuery(p2p::PullQuery {
                chain_id,
                request_id,
                deadline,
                container_id: id.0.to_vec(),
                requested_height: height,
            }),
            Content::Chits { preferred, preferred_at_height, accepted, accepted_height } => {
                Body::Chits(p2p::Chits {
                    chain_id,
                    request_id,
                    preferred_id: preferred.0.to_vec(),
                    accepted_id: accepted.0.to_vec(),
                    preferred_id_at_height: preferred_at_height.0.to_vec(),
                    accepted_height,
                })
            }
            Content::AppRequest(app_bytes) => {
                Body::AppRequest(p2p::AppRequest { chain_id, request_id, deadline, app_bytes })
            }
            Content::AppResponse(app_bytes) => {
                Body::AppResponse(p2p::AppResponse { chain_id, request_id, app_bytes })
            }
            Content::AppError { code, text } => {
                Body::AppError(p2p::AppError { chain_id, request_id, error_code: code, error_message: text })
            }
            Content::AppGossip(app_bytes) => Body::AppGossip(p2p::AppGossip { chain_id, app_bytes }),
        }
    }
}

fn id(bytes: &[u8]) -> Option<Id> {
    bytes.try_into().ok().map(Id)
}

fn ids(list: &[Vec<u8>]) -> Option<Vec<Id>> {
    list.iter().take(MAX_IDS).map(|bytes| id(bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_its_form_on_the_wire() {
        let id = |byte| Id([byte; 32]);
        let contents = [
            Content::GetAcceptedFrontier,
            Content::AcceptedFrontier(id(1)),
            Content::GetAccepted(vec![id(1), id(2)]),
            Content::Accepted(vec![id(3)]),
            Content::GetAncestors(id(4)),
            Content::Ancestors(vec![vec![1], vec![2, 3]]),
            Content::Get(id(5)),
            Content::Put(vec![9]),
            Content::PushQuery { block: vec![8], height: 7 },
            Content::PullQuery { id: id(6), height: 8 },
            Content::Chits {
                preferred: id(1),
                preferred_at_height: id(2),
                accepted: id(3),
                accepted_height: 4,
            },
            Content::AppRequest(vec![1]),
            Content::AppResponse(vec![2]),
            Content::AppError { code: -1, text: "timeout".to_owned() },
        ];
        for content in contents {
            let message = Message { request: 17, content };
            let body = message.clone().into_body(id(9), Duration::from_secs(5));
            assert_eq!(Message::from_body(body), Some((id(9), message)));
        }
    }

    #[test]
    fn ids_of_a_wrong_length_and_other_engines_are_dropped() {
        let short = p2p::Get { chain_id: vec![0; 32], container_id: vec![1; 31], ..p2p::Get::default() };
        assert_eq!(Message::from_body(Body::Get(short)), None);
        let dag = p2p::GetAncestors {
            chain_id: vec![0; 32],
            container_id: vec![1; 32],
            engine_type: 1,
            ..p2p::GetAncestors::default()
        };
        assert_eq!(Message::from_body(Body::GetAncestors(dag)), None);
    }
}
