//! TLS 1.3 with staking certificates on both sides. There is no authority and no host name: a peer is whoever holds the
//! key of the certificate it shows. Certificates are read by [`Certificate`] alone, since those of the network are often
//! not valid X.509 by the rules of TLS libraries. Mirrors `network/peer/tls_config.go`.

use std::{fmt, sync::Arc};

use avalanche_crypto::staking::{self, Certificate, CertificateError, HandshakeScheme, KeyError, PrivateKey};
use ring::rand::SecureRandom;
use rustls::{
    CertificateError as TlsCertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring as provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

/// Why an identity is of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Our own certificate would not be accepted by peers.
    #[error("staking certificate")]
    Certificate(#[from] CertificateError),
    /// No such key, or none could be made.
    #[error("staking key")]
    Key(#[from] KeyError),
    /// The key is not the certificate's.
    #[error("staking key does not belong to the staking certificate")]
    Mismatch,
    /// The TLS library refuses the key.
    #[error("TLS configuration")]
    Tls(#[from] Error),
}

/// A node's certificate and key. `Debug` shows the node id only.
pub struct Identity {
    certificate: Certificate,
    key: PrivateKey,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.certificate.node_id()).finish()
    }
}

impl Identity {
    /// From certificate and key in DER; the key is PKCS #8 or, for RSA, PKCS #1.
    ///
    /// # Errors
    /// As [`IdentityError`] says.
    pub fn from_der(
        certificate: &[u8],
        key: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Self, IdentityError> {
        let parsed = Certificate::parse(certificate)?;
        let private = PrivateKey::from_der(key, random)?;
        let probe = private.sign(certificate, random)?;
        parsed.check_signature(certificate, &probe).map_err(|_| IdentityError::Mismatch)?;
        let der = PrivateKeyDer::try_from(key.to_vec()).map_err(|_| KeyError::Rejected)?;
        let signer = provider::sign::any_supported_type(&der)?;
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let own = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, signer)));
        let provider = Arc::new(provider::default_provider());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(AnyStaker))
            .with_cert_resolver(Arc::clone(&own) as _);
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyStaker))
            .with_client_cert_resolver(own);
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        Ok(Self { certificate: parsed, key: private, server: Arc::new(server), client: Arc::new(client) })
    }

    /// A new one, with a certificate that lasts until the year `expires`.
    ///
    /// # Errors
    /// The source of randomness failed.
    pub fn generate(expires: u16, random: &dyn SecureRandom) -> Result<Self, IdentityError> {
        let (certificate, key) = staking::self_signed(expires, random)?;
        Self::from_der(&certificate, &key, random)
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// For connections that others open.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// For connections that we open.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }
}

/// Accepts every well-formed staking certificate whose key signed the handshake.
#[derive(Debug)]
struct AnyStaker;

impl AnyStaker {
    fn parse(der: &CertificateDer<'_>) -> Result<Certificate, Error> {
        Certificate::parse(der).map_err(|_| Error::InvalidCertificate(TlsCertificateError::BadEncoding))
    }

    fn check(
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let bad = Error::InvalidCertificate(TlsCertificateError::BadSignature);
        let Some((_, scheme)) = SCHEMES.iter().find(|(scheme, _)| *scheme == signed.scheme) else {
            return Err(bad);
        };
        Self::parse(der)?
            .check_handshake(*scheme, message, signed.signature())
            .map_or(Err(bad), |()| Ok(HandshakeSignatureValid::assertion()))
    }
}

const SCHEMES: [(SignatureScheme, HandshakeScheme); 4] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, HandshakeScheme::EcdsaP256Sha256),
    (SignatureScheme::RSA_PSS_SHA256, HandshakeScheme::RsaPssSha256),
    (SignatureScheme::RSA_PSS_SHA384, HandshakeScheme::RsaPssSha384),
    (SignatureScheme::RSA_PSS_SHA512, HandshakeScheme::RsaPssSha512),
];

/// What both sides do with the other's handshake signature.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is never negotiated".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Self::check(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            SCHEMES.iter().map(|(scheme, _)| *scheme).collect()
        }
    };
}

impl ServerCertVerifier for AnyStaker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::parse(end_entity).map(|_| ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for AnyStaker {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::parse(end_entity).map(|_| ClientCertVerified::assertion())
    }

    signatures!();
}
