//! Keys that this node uses and does not hold: a signer elsewhere is asked for every signature. The record of what was
//! signed stays here, in front of it. Two calls over HTTP, meant for this machine or a private network:
//!
//! - `GET URL/keys` answers the public keys as a JSON array of hexadecimal texts;
//! - `POST URL/sign` with `{"key": "0x…", "root": "0x…"}` answers `{"signature": "0x…"}`.
//!
//! A signature that is not that of the key over the root is none.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    crypto::bls::{self, Key},
    types::primitives::{PublicKey, Root, Signature},
    validator::vault::Keys,
};

/// A signer that has not answered by then has missed the duty.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes of an answer: keys of a few thousand validators.
const MAX_ANSWER: u64 = 1 << 20;

/// Why a signer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// It does not answer, or not as agreed.
    #[error("the signer at {0} does not answer as agreed")]
    Answer(String, #[source] Box<ureq::Error>),
    /// One of its keys is no key.
    #[error("the signer at {0} has a key that is none: {1}")]
    Key(String, String),
}

#[derive(Serialize)]
struct Question {
    key: String,
    root: String,
}

#[derive(Deserialize)]
struct Answer {
    signature: String,
}

/// The keys of a signer elsewhere.
#[derive(Debug)]
pub struct RemoteKeys {
    agent: ureq::Agent,
    url: String,
    keys: BTreeMap<PublicKey, Key>,
}

impl RemoteKeys {
    /// Asks a signer for its keys. An answer that takes longer than `patience`, now or later, is none.
    ///
    /// # Errors
    /// See [`SignerError`].
    pub fn connect(url: &str, patience: Duration) -> Result<Self, SignerError> {
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(patience)).build().into();
        let url = url.trim_end_matches('/').to_owned();
        let failed = |err| SignerError::Answer(url.clone(), Box::new(err));
        let mut answer = agent.get(format!("{url}/keys")).call().map_err(failed)?;
        let texts: Vec<String> =
            answer.body_mut().with_config().limit(MAX_ANSWER).read_json().map_err(failed)?;
        let mut keys = BTreeMap::new();
        for text in texts {
            let key = text.parse().ok().and_then(|bytes| Some((bytes, Key::new(&bytes).ok()?)));
            let (bytes, key) = key.ok_or_else(|| SignerError::Key(url.clone(), text))?;
            keys.insert(bytes, key);
        }
        Ok(Self { agent, url, keys })
    }

    fn ask(&self, key: &PublicKey, root: &Root) -> Result<Signature, String> {
        let question = Question { key: key.to_string(), root: root.to_string() };
        let sent = self.agent.post(format!("{}/sign", self.url)).send_json(&question);
        let mut answer = sent.map_err(|err| err.to_string())?;
        let body = answer.body_mut().with_config().limit(MAX_ANSWER);
        let answer: Answer = body.read_json().map_err(|err| err.to_string())?;
        let signature: Signature = answer.signature.parse().map_err(|_| "no signature".to_owned())?;
        let good = self.keys.get(key).is_some_and(|key| bls::verify(key, root, &signature));
        if good { Ok(signature) } else { Err("the signature is not of this key and root".to_owned()) }
    }
}

impl Keys for RemoteKeys {
    fn list(&self) -> Vec<PublicKey> {
        self.keys.keys().copied().collect()
    }

    fn sign(&self, key: &PublicKey, root: &Root) -> Option<Signature> {
        self.ask(key, root)
            .inspect_err(
                |error| tracing::warn!(target: "validator", url = self.url, error, "the signer failed"),
            )
            .ok()
    }
}

/// Keys of several holders; the first that has a key signs with it.
pub struct Joined(pub Vec<Box<dyn Keys>>);

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Joined").field(&self.list()).finish()
    }
}

impl Keys for Joined {
    fn list(&self) -> Vec<PublicKey> {
        self.0.iter().flat_map(|keys| keys.list()).collect()
    }

    fn sign(&self, key: &PublicKey, root: &Root) -> Option<Signature> {
        self.0.iter().find(|keys| keys.list().contains(key))?.sign(key, root)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;
    use crate::{crypto::derive::interop_key, validator::vault::LocalKeys};

    /// The test's signer always answers, however busy the machine is.
    const LONG: Duration = Duration::from_secs(60);

    /// A signer with one key that answers so many calls; with `lies`, it signs something else.
    fn signer(calls: usize, lies: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let key = interop_key(3).expect("a key");
            for _ in 0..calls {
                let (stream, _) = listener.accept().expect("a call");
                let mut reader = BufReader::new(stream);
                let (mut first, mut length) = (String::new(), 0usize);
                reader.read_line(&mut first).expect("a request");
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("a header");
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().expect("a number");
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                let body = if first.starts_with("GET /keys ") {
                    format!("[\"{}\"]", key.public_key())
                } else {
                    let question: serde_json::Value = serde_json::from_slice(&body).expect("a question");
                    let root: Root = question["root"].as_str().expect("text").parse().expect("a root");
                    let root = if lies { Root::ZERO } else { root };
                    format!("{{\"signature\": \"{}\"}}", key.sign(&root))
                };
                write!(
                    reader.get_mut(),
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                )
                .expect("an answer");
            }
        });
        url
    }

    #[test]
    fn keys_elsewhere_sign_beside_local_ones() {
        let remote = RemoteKeys::connect(&signer(2, false), LONG).expect("a signer");
        let (there, here) = (interop_key(3).expect("a key"), interop_key(4).expect("a key"));
        let local = LocalKeys::new([interop_key(4).expect("a key")]);
        let keys = Joined(vec![Box::new(local), Box::new(remote)]);
        assert_eq!(keys.list().len(), 2);
        let root = Root([7; 32]);
        assert_eq!(keys.sign(&there.public_key(), &root), Some(there.sign(&root)));
        assert_eq!(keys.sign(&here.public_key(), &root), Some(here.sign(&root)));
        assert_eq!(keys.sign(&PublicKey::ZERO, &root), None);
        assert_eq!(keys.sign(&there.public_key(), &root), None, "the signer is gone");
    }

    #[test]
    fn a_signature_over_something_else_is_none() {
        let remote = RemoteKeys::connect(&signer(2, true), LONG).expect("a signer");
        let key = interop_key(3).expect("a key").public_key();
        assert_eq!(remote.sign(&key, &Root([7; 32])), None);
    }
}
