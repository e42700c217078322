//! Alerts: messages to operators, signed with the key of the network, which nodes pass on and show until they expire or
//! are cancelled. Reading, judging and keeping them; who is connected and what is run for one is the node's. Mirrors
//! `src/alert.cpp` and `GetWarnings` of `src/main.cpp`.

use std::collections::{BTreeMap, BTreeSet};

use fluxd_primitives::{
    DecodeError, Hash256, PublicKey,
    codec::{Reader, Writer, compact_size, put_compact_size, put_var_bytes},
    hash::sha256d,
};
use fluxd_script::ecdsa;

use crate::Message;

/// Longest comment, bytes.
const MAX_COMMENT: usize = 65_536;
/// Longest text for people or for RPC, bytes.
const MAX_TEXT: usize = 256;
/// From this priority on an alert stops methods of RPC (`ALERT_PRIORITY_SAFE_MODE`).
const SAFE_MODE: i32 = 4000;
/// The only text that an alert with the last id may have: its key is not to be trusted any more.
const COMPROMISED: &str = "URGENT: Alert key compromised, upgrade required";

/// What an alert says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alert {
    /// Version of this form.
    pub version: i32,
    /// Until when every peer is told, unix seconds.
    pub relay_until: i64,
    /// When it ends, unix seconds.
    pub expiration: i64,
    /// Its number.
    pub id: i32,
    /// Alerts up to this number are cancelled by it.
    pub cancel: i32,
    /// Further alerts that it cancels.
    pub cancels: BTreeSet<i32>,
    /// Least protocol version that is meant.
    pub least_version: i32,
    /// Highest protocol version that is meant.
    pub most_version: i32,
    /// Programs that are meant; empty for all.
    pub agents: BTreeSet<String>,
    /// Of several alerts the one with the highest is shown.
    pub priority: i32,
    /// For nobody to see.
    pub comment: String,
    /// For people.
    pub status: String,
    /// What RPC answers in safe mode; empty ends it.
    pub rpc_error: String,
}

impl Alert {
    /// Reads the signed part of an alert. Bytes behind it are of newer forms.
    ///
    /// # Errors
    /// Too short, or a text is too long.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let reader = &mut Reader::new(bytes);
        Ok(Self {
            version: reader.i32_le()?,
            relay_until: reader.i64_le()?,
            expiration: reader.i64_le()?,
            id: reader.i32_le()?,
            cancel: reader.i32_le()?,
            cancels: set(reader, |reader| Ok(reader.i32_le()?))?,
            least_version: reader.i32_le()?,
            most_version: reader.i32_le()?,
            agents: set(reader, |reader| text(reader, usize::MAX))?,
            priority: reader.i32_le()?,
            comment: text(reader, MAX_COMMENT)?,
            status: text(reader, MAX_TEXT)?,
            rpc_error: text(reader, MAX_TEXT)?,
        })
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let to = &mut writer;
        to.i32_le(self.version).i64_le(self.relay_until).i64_le(self.expiration);
        to.i32_le(self.id).i32_le(self.cancel);
        put_compact_size(to, self.cancels.len());
        for id in &self.cancels {
            to.i32_le(*id);
        }
        to.i32_le(self.least_version).i32_le(self.most_version);
        put_compact_size(to, self.agents.len());
        for agent in &self.agents {
            put_var_bytes(to, agent.as_bytes());
        }
        to.i32_le(self.priority);
        for text in [&self.comment, &self.status, &self.rpc_error] {
            put_var_bytes(to, text.as_bytes());
        }
        writer.into_vec()
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_in_effect(&self, now: i64) -> bool {
        now < self.expiration
    }

    /// Whether it is meant for a program with this protocol version and name.
    #[must_use]
    pub fn applies_to(&self, version: i32, agent: &str, now: i64) -> bool {
        self.is_in_effect(now)
            && (self.least_version..=self.most_version).contains(&version)
            && (self.agents.is_empty() || self.agents.contains(agent))
    }

    /// Whether it takes another alert back.
    #[must_use]
    pub fn takes_back(&self, other: &Self, now: i64) -> bool {
        self.is_in_effect(now) && (other.id <= self.cancel || self.cancels.contains(&other.id))
    }

    /// The text for people as it may be put into a command: only harmless letters are left of it.
    #[must_use]
    pub fn safe_status(&self) -> String {
        let harmless = |letter: &char| letter.is_ascii_alphanumeric() || " .,;_/:?@()".contains(*letter);
        self.status.chars().filter(harmless).collect()
    }

    /// The last id is kept for the case that the key is stolen: such an alert says so, reaches everybody, never ends and
    /// cancels all others, or it is none.
    fn is_sound(&self) -> bool {
        self.id != i32::MAX
            || self.expiration == i64::from(i32::MAX)
                && self.cancel == i32::MAX.wrapping_sub(1)
                && self.least_version == 0
                && self.most_version == i32::MAX
                && self.agents.is_empty()
                && self.priority == i32::MAX
                && self.status == COMPROMISED
    }
}

fn set<T: Ord>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<BTreeSet<T>, DecodeError> {
    let count = compact_size(reader)?;
    (0..count).map(|_| read(reader)).collect()
}

fn text(reader: &mut Reader<'_>, limit: usize) -> Result<String, DecodeError> {
    let len = compact_size(reader)?;
    Ok(String::from_utf8_lossy(reader.bounded(len, limit)?).into_owned())
}

/// Why an alert is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not signed with the key of the network.
    #[error("verify signature failed")]
    Signature,
    /// What is signed is no alert.
    #[error("malformed")]
    Malformed,
    /// It has ended.
    #[error("expired")]
    Expired,
    /// It has the id of a stolen key and does not say so.
    #[error("not the alert of a compromised key")]
    Unsound,
    /// Another alert has taken it back.
    #[error("cancelled")]
    Cancelled,
}

/// What operators are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings {
    /// For people; empty for nothing.
    pub status: String,
    /// Why methods are stopped; empty where they are not.
    pub rpc: String,
}

#[derive(Debug, Clone)]
struct Held {
    alert: Alert,
    message: Message,
}

/// The alerts that a node holds.
#[derive(Debug)]
pub struct Alerts {
    key: PublicKey,
    version: i32,
    agent: String,
    held: BTreeMap<Hash256, Held>,
}

impl Alerts {
    /// None yet; `key` signs those of the network, `version` and `agent` are what this node calls itself.
    #[must_use]
    pub fn new(key: PublicKey, version: i32, agent: String) -> Self {
        Self { key, version, agent, held: BTreeMap::new() }
    }

    /// The name of an alert.
    #[must_use]
    pub fn name(payload: &[u8]) -> Hash256 {
        Hash256(sha256d(payload))
    }

    /// Takes an alert in. Those that it takes back, and those that have ended, go.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn accept(&mut self, payload: &[u8], signature: &[u8], now: i64) -> Result<&Alert, Refused> {
        let name = Self::name(payload);
        if !(self.key.is_valid() && ecdsa::verify(&self.key, &name.0, signature)) {
            return Err(Refused::Signature);
        }
        let alert = Alert::decode(payload).map_err(|_| Refused::Malformed)?;
        if !alert.is_in_effect(now) {
            return Err(Refused::Expired);
        }
        if !alert.is_sound() {
            return Err(Refused::Unsound);
        }
        self.held.retain(|_, held| !alert.takes_back(&held.alert, now) && held.alert.is_in_effect(now));
        if self.held.values().any(|held| held.alert.takes_back(&alert, now)) {
            return Err(Refused::Cancelled);
        }
        let message = Message::Alert(payload.to_vec(), signature.to_vec());
        Ok(&self.held.entry(name).or_insert(Held { alert, message }).alert)
    }

    /// Whether an alert is meant for this node.
    #[must_use]
    pub fn is_for_us(&self, alert: &Alert, now: i64) -> bool {
        alert.applies_to(self.version, &self.agent, now)
    }

    /// What a peer with this protocol version and name is told, with the name of each.
    pub fn for_peer<'a>(
        &'a self,
        version: i32,
        agent: &'a str,
        now: i64,
    ) -> impl Iterator<Item = (Hash256, &'a Message)> {
        self.held
            .iter()
            .filter(move |(_, Held { alert, .. })| {
                alert.is_in_effect(now)
                    && (alert.applies_to(version, agent, now)
                        || self.is_for_us(alert, now)
                        || now < alert.relay_until)
            })
            .map(|(name, held)| (*name, &held.message))
    }

    /// What the weightiest alert for this node says, over what there is to say without alerts.
    #[must_use]
    pub fn warnings(&self, otherwise: Warnings, now: i64) -> Warnings {
        let (mut out, mut priority) = (otherwise, 0);
        for Held { alert, .. } in self.held.values() {
            if self.is_for_us(alert, now) && alert.priority > priority {
                priority = alert.priority;
                out.status.clone_from(&alert.status);
                if alert.priority >= SAFE_MODE {
                    out.rpc.clone_from(&alert.rpc_error);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> secp256k1::SecretKey {
        secp256k1::SecretKey::from_secret_bytes([9; 32]).expect("a scalar")
    }

    fn signed(alert: &Alert) -> (Vec<u8>, Vec<u8>) {
        let payload = alert.encode();
        let message = secp256k1::Message::from_digest(sha256d(&payload));
        let signature = secp256k1::ecdsa::sign(message, &secret());
        (payload, signature.serialize_der().to_vec())
    }

    fn board() -> Alerts {
        let key = secp256k1::PublicKey::from_secret_key(&secret()).serialize();
        Alerts::new(PublicKey::from_serialized(&key), 170_021, "/Us:1/".to_owned())
    }

    fn alert(id: i32, priority: i32, status: &str) -> Alert {
        Alert {
            expiration: 100,
            id,
            most_version: i32::MAX,
            priority,
            status: status.to_owned(),
            rpc_error: format!("{status} of RPC"),
            ..Alert::default()
        }
    }

    #[test]
    fn the_weightiest_alert_is_shown_until_it_ends_or_is_taken_back() {
        let mut board = board();
        for one in [alert(1, 10, "light"), alert(2, 5000, "heavy")] {
            let (payload, signature) = signed(&one);
            assert_eq!(board.accept(&payload, &signature, 1).map(|held| held.id), Ok(one.id));
        }
        let warnings = board.warnings(Warnings::default(), 1);
        assert_eq!((warnings.status.as_str(), warnings.rpc.as_str()), ("heavy", "heavy of RPC"));
        assert_eq!(board.warnings(Warnings::default(), 100), Warnings::default(), "both have ended");
        let mut end = alert(3, 1, "over");
        end.cancels = BTreeSet::from([2]);
        let (payload, signature) = signed(&end);
        assert!(board.accept(&payload, &signature, 1).is_ok());
        assert_eq!(board.warnings(Warnings::default(), 1).status, "light");
        let (payload, signature) = signed(&alert(2, 5000, "heavy"));
        assert_eq!(board.accept(&payload, &signature, 1), Err(Refused::Cancelled));
    }

    #[test]
    fn peers_hear_of_alerts_that_mean_them_or_us_or_are_young() {
        let mut board = board();
        let mut other = alert(1, 1, "for others");
        (other.relay_until, other.agents) = (10, BTreeSet::from(["/Them:1/".to_owned()]));
        let (payload, signature) = signed(&other);
        board.accept(&payload, &signature, 1).expect("an alert");
        let told = |agent: &str, now: i64| board.for_peer(1, agent, now).count();
        assert_eq!((told("/Them:1/", 50), told("/Any:1/", 50), told("/Any:1/", 5)), (1, 0, 1));
        assert_eq!(told("/Them:1/", 100), 0);
    }

    #[test]
    fn foreign_malformed_ended_and_pretended_alerts_are_refused() {
        let mut board = board();
        let (payload, signature) = signed(&alert(1, 1, "x"));
        assert_eq!(board.accept(&payload, &signature, 100), Err(Refused::Expired));
        assert_eq!(board.accept(&payload, &[], 1), Err(Refused::Signature));
        board.key = PublicKey::default();
        assert_eq!(board.accept(&payload, &signature, 1), Err(Refused::Signature), "a network without a key");
        let mut board = self::board();
        let (payload, signature) = signed(&alert(i32::MAX, i32::MAX, "everything is well"));
        assert_eq!(board.accept(&payload, &signature, 1), Err(Refused::Unsound));
        let mut stolen = alert(i32::MAX, i32::MAX, COMPROMISED);
        (stolen.expiration, stolen.cancel) = (i64::from(i32::MAX), i32::MAX - 1);
        let (payload, signature) = signed(&stolen);
        assert!(board.accept(&payload, &signature, 1).is_ok());
        let message = secp256k1::Message::from_digest(sha256d(b"short"));
        let signature = secp256k1::ecdsa::sign(message, &secret()).serialize_der().to_vec();
        assert_eq!(board.accept(b"short", &signature, 1), Err(Refused::Malformed));
    }

    #[test]
    fn what_goes_into_a_command_holds_no_quotes() {
        let evil = alert(1, 1, "Evil'; /bin/ls; echo `-'");
        assert_eq!(evil.safe_status(), "Evil; /bin/ls; echo ");
    }
}
