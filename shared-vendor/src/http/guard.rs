//! Who may ask: `Host` names (against DNS rebinding), `Origin`s (against web pages), addresses, and credentials.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header};
use base64::{Engine, prelude::BASE64_STANDARD};

/// A secret that opens protected methods.
#[derive(Clone)]
pub enum Credential {
    /// HTTP Basic: `user:password`, as in a cookie file.
    Basic(String),
    /// HTTP Bearer token.
    Bearer(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Methods that only read public data.
    Open,
    /// Every method: a credential was shown.
    Full,
}

/// Why a request is not served at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The `Host` header names neither an address, nor `localhost`, nor an allowed name.
    #[error("host is not allowed")]
    Host,
    /// A web page of an origin that is not on the list.
    #[error("origin is not allowed")]
    Origin,
    /// The client's address is not on the list.
    #[error("address is not allowed")]
    Address,
    /// A credential was shown and it is wrong.
    #[error("wrong credentials")]
    Credentials,
}

impl Refusal {
    /// The status to answer with, before the body is read.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Credentials => StatusCode::UNAUTHORIZED,
            Self::Host | Self::Origin | Self::Address => StatusCode::FORBIDDEN,
        }
    }
}

/// The rules of one listener. The default allows local clients to read and nobody to do more.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Names accepted in `Host` beside addresses and `localhost`, without port, compared without case.
    pub hosts: Vec<String>,
    /// Origins of web pages that may ask; `*` for all.
    pub origins: Vec<String>,
    /// Addresses that may connect; empty for all.
    pub addresses: Vec<IpAddr>,
    /// Secrets that give [`Access::Full`].
    pub credentials: Vec<Credential>,
}

impl Guard {
    /// Decides from the headers alone.
    ///
    /// # Errors
    /// The rule that refuses the request.
    pub fn check(&self, headers: &HeaderMap, client: IpAddr) -> Result<Access, Refusal> {
        if !self.addresses.is_empty() && !self.addresses.contains(&client.to_canonical()) {
            return Err(Refusal::Address);
        }
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("\0"));
        if !text(header::HOST).is_some_and(|host| self.host_allowed(host)) {
            return Err(Refusal::Host);
        }
        if let Some(origin) = text(header::ORIGIN)
            && !self.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
        {
            return Err(Refusal::Origin);
        }
        match text(header::AUTHORIZATION) {
            None => Ok(Access::Open),
            Some(shown) if self.credentials.iter().any(|secret| opens(secret, shown)) => Ok(Access::Full),
            Some(_) => Err(Refusal::Credentials),
        }
    }

    fn host_allowed(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }
}

fn opens(secret: &Credential, shown: &str) -> bool {
    let Some((scheme, value)) = shown.split_once(' ') else { return false };
    match secret {
        Credential::Basic(pair) => {
            scheme.eq_ignore_ascii_case("basic") && equal(value.trim(), &BASE64_STANDARD.encode(pair))
        }
        Credential::Bearer(token) => scheme.eq_ignore_ascii_case("bearer") && equal(value.trim(), token),
    }
}

/// Compares in time that depends on the lengths only.
fn equal(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left.bytes().zip(right.bytes()).fold(0_u8, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn hosts_are_addresses_localhost_or_listed_names() {
        let guard = Guard { hosts: vec!["node.example".into()], ..Guard::default() };
        for host in ["127.0.0.1:4444", "[::1]:4444", "LOCALHOST:1", "Node.Example:80", "10.1.2.3"] {
            assert_eq!(guard.check(&headers(&[(header::HOST, host)]), LOCAL), Ok(Access::Open), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", ""] {
            assert_eq!(guard.check(&headers(&[(header::HOST, host)]), LOCAL), Err(Refusal::Host), "{host}");
        }
        assert_eq!(guard.check(&HeaderMap::new(), LOCAL), Err(Refusal::Host));
    }

    #[test]
    fn web_pages_are_refused_unless_their_origin_is_listed() {
        let guard = Guard { origins: vec!["https://wallet.example".into()], ..Guard::default() };
        let with = |origin| headers(&[(header::HOST, "localhost"), (header::ORIGIN, origin)]);
        assert_eq!(guard.check(&with("https://wallet.example"), LOCAL), Ok(Access::Open));
        assert_eq!(guard.check(&with("https://evil.example"), LOCAL), Err(Refusal::Origin));
    }

    #[test]
    fn credentials_open_everything_and_wrong_ones_nothing() {
        let guard = Guard {
            credentials: vec![Credential::Basic("__cookie__:abc".into()), Credential::Bearer("token".into())],
            ..Guard::default()
        };
        let with = |value| headers(&[(header::HOST, "localhost"), (header::AUTHORIZATION, value)]);
        assert_eq!(guard.check(&with("Basic X19jb29raWVfXzphYmM="), LOCAL), Ok(Access::Full));
        assert_eq!(guard.check(&with("Bearer token"), LOCAL), Ok(Access::Full));
        assert_eq!(guard.check(&with("Bearer tokem"), LOCAL), Err(Refusal::Credentials));
        assert_eq!(guard.check(&with("nonsense"), LOCAL), Err(Refusal::Credentials));
    }
}
