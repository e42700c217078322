//! The identity of a node: its certificate with the key, and its BLS key. From files or contents that are named, or kept
//! in the data directory and made at the first start. Mirrors `config/config.go` and `staking/tls.go`.

use std::path::Path;

use avalanche_crypto::bls;
use avalanche_net::tls::Identity;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use shared_vendor::{
    app::{Context, Daemon},
    datadir::check_secret,
    exit::{self, Report},
    log::Secret,
};

use crate::config::Config;

const CERTIFICATE: &str = "keys/staker.crt";
const KEY: &str = "keys/staker.key";
const SIGNER: &str = "keys/signer.key";
/// Year in which new certificates end.
const EXPIRES: u16 = 2126;

/// Who this node is.
#[derive(Debug)]
pub struct Keys {
    /// Certificate and key.
    pub identity: Identity,
    /// Signs addresses and warp messages.
    pub signer: bls::SecretKey,
    /// The signer's bytes, for a second owner.
    pub signer_bytes: Secret<[u8; 32]>,
    /// Certificate and key in DER, for the signer of blocks.
    pub certificate: Vec<u8>,
    /// The key in DER.
    pub key: Secret<Vec<u8>>,
}

/// Loads or makes the keys.
///
/// # Errors
/// A file that is missing, damaged or readable by others; or no randomness.
pub fn load<D: Daemon<Config = Config>>(ctx: &Context<D>) -> Result<Keys, Report> {
    let random = SystemRandom::new();
    let (certificate, key) = tls(ctx, &random)?;
    let identity = Identity::from_der(&certificate, &key, &random).map_err(|err| {
        Report::new(exit::BAD_VALUE, "the staking certificate and its key cannot be used").because(&err)
    })?;
    let signer_bytes = signer(ctx, &random)?;
    let signer = bls::SecretKey::from_bytes(&signer_bytes)
        .map_err(|err| Report::new(exit::BAD_VALUE, "the staking signer key cannot be used").because(&err))?;
    Ok(Keys { identity, signer, signer_bytes: Secret::new(signer_bytes), certificate, key: Secret::new(key) })
}

fn tls<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    random: &SystemRandom,
) -> Result<(Vec<u8>, Vec<u8>), Report> {
    let config = &ctx.config;
    let content = (&config.staking_tls_cert_file_content, &config.staking_tls_key_file_content);
    let files = (&config.staking_tls_cert_file, &config.staking_tls_key_file);
    let (certificate, key) = match (content, files) {
        ((Some(certificate), Some(key)), _) => (
            from_base64("staking-tls-cert-file-content", certificate)?,
            from_base64("staking-tls-key-file-content", key.expose())?,
        ),
        (_, (Some(certificate), Some(key))) => {
            check_secret(key)?;
            (read(certificate)?, read(key)?)
        }
        ((None, None), (None, None)) if config.staking_ephemeral_cert_enabled => {
            return make(random);
        }
        ((None, None), (None, None)) => return own_tls(ctx, random),
        _ => {
            let what = "the staking certificate and its key must be given together";
            return Err(Report::new(exit::BAD_VALUE, what).at("staking-tls-cert-file, staking-tls-key-file"));
        }
    };
    let bad = |what: &str| Report::new(exit::BAD_VALUE, format!("the staking {what} is not PEM"));
    let certificate = CertificateDer::from_pem_slice(&certificate).map_err(|_| bad("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| bad("key"))?;
    Ok((certificate.to_vec(), key.secret_der().to_vec()))
}

fn make(random: &SystemRandom) -> Result<(Vec<u8>, Vec<u8>), Report> {
    avalanche_crypto::staking::self_signed(EXPIRES, random)
        .map_err(|err| Report::new(exit::UNEXPECTED, "no staking certificate can be made").because(&err))
}

/// The certificate kept in the data directory.
fn own_tls<D: Daemon>(ctx: &Context<D>, random: &SystemRandom) -> Result<(Vec<u8>, Vec<u8>), Report> {
    if !ctx.data.join(KEY).exists() {
        let (certificate, key) = make(random)?;
        ctx.data.create_secret(CERTIFICATE, pem("CERTIFICATE", &certificate).as_bytes())?;
        ctx.data.create_secret(KEY, pem("PRIVATE KEY", &key).as_bytes())?;
        return Ok((certificate, key));
    }
    let damaged = |name: &str| {
        Report::new(exit::DATA_DAMAGED, "the staking certificate or key is not PEM")
            .at(ctx.data.join(name).display().to_string())
            .advice("restore both from a backup, or remove both: new ones are made at the next start")
    };
    let certificate = CertificateDer::from_pem_slice(&ctx.data.read_secret(CERTIFICATE)?)
        .map_err(|_| damaged(CERTIFICATE))?;
    let key = PrivateKeyDer::from_pem_slice(&ctx.data.read_secret(KEY)?).map_err(|_| damaged(KEY))?;
    Ok((certificate.to_vec(), key.secret_der().to_vec()))
}

fn signer<D: Daemon<Config = Config>>(ctx: &Context<D>, random: &SystemRandom) -> Result<[u8; 32], Report> {
    let config = &ctx.config;
    let bytes = if let Some(content) = &config.staking_signer_key_file_content {
        from_base64("staking-signer-key-file-content", content.expose())?
    } else if let Some(path) = &config.staking_signer_key_file {
        check_secret(path)?;
        read(path)?
    } else if config.staking_ephemeral_signer_enabled || !ctx.data.join(SIGNER).exists() {
        let mut secret = [0; 32];
        random
            .fill(&mut secret)
            .map_err(|_| Report::new(exit::UNEXPECTED, "the operating system gives no random numbers"))?;
        if let Some(first) = secret.first_mut() {
            *first = 0; // below the order of the group
        }
        if !config.staking_ephemeral_signer_enabled {
            ctx.data.create_secret(SIGNER, &secret)?;
        }
        return Ok(secret);
    } else {
        ctx.data.read_secret(SIGNER)?
    };
    <[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| Report::new(exit::BAD_VALUE, "the staking signer key is not 32 bytes long"))
}

fn from_base64(setting: &str, text: &str) -> Result<Vec<u8>, Report> {
    STANDARD
        .decode(text.trim())
        .map_err(|err| Report::new(exit::BAD_VALUE, "a value is not base 64").at(setting).because(&err))
}

fn read(path: &Path) -> Result<Vec<u8>, Report> {
    std::fs::read(path).map_err(|err| {
        Report::new(exit::NO_INPUT, "a key file cannot be read").at(path.display().to_string()).because(&err)
    })
}

/// A file in PEM.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let body = STANDARD.encode(der);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
