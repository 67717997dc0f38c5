//! TLS as a client: the operator's files, or the machine's own trusted certificates, and faults that name their cause.
//!
//! Invariant: no certificate is taken without a proof; this room only puts the reason of a refusal into words.

use jiff::Timestamp;
use quorate_model::TlsSpec;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Why no client could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {what} {}: {because}", path.display())]
    File { what: &'static str, path: PathBuf, because: String },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM form: {because}", path.display())]
    NotPem { what: &'static str, path: PathBuf, because: String },
    /// One of the pair is missing.
    #[error("{} is given without the {missing} that belongs to it", given.display())]
    HalfPair { given: PathBuf, missing: &'static str },
    /// The pair is none.
    #[error("the client certificate {} and the key {} cannot be used together: {because}", cert.display(), key.display())]
    Pair { cert: PathBuf, key: PathBuf, because: String },
    /// The TLS library refused its setup.
    #[error("cannot set up TLS: {because}")]
    Setup { because: String },
}

impl TlsError {
    /// What next.
    pub fn hint(&self) -> String {
        match self {
            Self::File { path, .. } => {
                format!(
                    "check the path and the rights of {} in the `tls` part of the fleet file",
                    path.display()
                )
            }
            Self::NotPem { path, .. } => {
                format!("{} must be a PEM file, and a key must not be encrypted", path.display())
            }
            Self::HalfPair { .. } => "give both `cert` and `key`, or neither".to_owned(),
            Self::Pair { .. } => "use the key that the certificate was made with".to_owned(),
            Self::Setup { .. } => "this is a fault of the build, not of the cluster".to_owned(),
        }
    }
}

/// A client's side of TLS, ready for use.
#[derive(Debug)]
pub(crate) struct TlsClient {
    pub(crate) config: ClientConfig,
    /// The client certificate and its end, for the sentence when a server refuses it.
    pub(crate) own: Option<OwnCert>,
}

#[derive(Debug, Clone)]
pub(crate) struct OwnCert {
    pub(crate) path: PathBuf,
    pub(crate) not_after: Option<Timestamp>,
}

/// Reads the files of `spec`; without it servers are held against the machine's own trusted certificates.
pub(crate) fn client(spec: Option<&TlsSpec>) -> Result<TlsClient, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let trust = match spec {
        Some(spec) => Trust::File { path: spec.ca.clone(), roots: Arc::new(roots_of(&spec.ca)?) },
        None => Trust::System,
    };
    let verifier =
        CauseNamingVerifier { trust, provider: provider.clone(), inner: OnceLock::new() };
    let setup = |cause: rustls::Error| TlsError::Setup { because: cause.to_string() };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        // "Dangerous" is the library's word for any own verifier; this one asks the library's and passes its verdict on.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let pair = spec.map_or(Ok(None), client_pair)?;
    let (mut config, own) = match pair {
        None => (builder.with_no_client_auth(), None),
        Some(Pair { cert, key, chain, secret }) => {
            let own = OwnCert {
                path: cert.clone(),
                not_after: chain.first().and_then(|der| Seen::of(der)).map(|seen| seen.not_after),
            };
            let config = builder
                .with_client_auth_cert(chain, secret)
                .map_err(|cause| TlsError::Pair { cert, key, because: cause.to_string() })?;
            (config, Some(own))
        }
    };
    // Products speak HTTP/1.1 on every release; HTTP/2 would gain nothing for a handful of short requests.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsClient { config, own })
}

struct Pair {
    cert: PathBuf,
    key: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
}

fn client_pair(spec: &TlsSpec) -> Result<Option<Pair>, TlsError> {
    let (cert, key) = match (&spec.cert, &spec.key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert.clone(), key.clone()),
        (Some(cert), None) => {
            return Err(TlsError::HalfPair { given: cert.clone(), missing: "key" });
        }
        (None, Some(key)) => {
            return Err(TlsError::HalfPair { given: key.clone(), missing: "certificate" });
        }
    };
    let chain = certs_of("client certificate", &cert)?;
    let text = zeroize::Zeroizing::new(file("client key", &key)?);
    let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|cause| TlsError::NotPem {
        what: "client key",
        path: key.clone(),
        because: cause.to_string(),
    })?;
    Ok(Some(Pair { cert, key, chain, secret }))
}

fn file(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|cause| TlsError::File {
        what,
        path: path.to_owned(),
        because: crate::local::because(&cause),
    })
}

fn certs_of(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = file(what, path)?;
    let not_pem = |because: String| TlsError::NotPem { what, path: path.to_owned(), because };
    let certs = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| not_pem(cause.to_string()))?;
    if certs.is_empty() { Err(not_pem("no certificate found in it".to_owned())) } else { Ok(certs) }
}

fn roots_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for der in certs_of("CA certificate", path)? {
        roots.add(der).map_err(|cause| TlsError::NotPem {
            what: "CA certificate",
            path: path.to_owned(),
            because: cause.to_string(),
        })?;
    }
    Ok(roots)
}

/// Whose signature counts.
enum Trust {
    File { path: PathBuf, roots: Arc<RootCertStore> },
    System,
}

/// Asks the TLS library's own verifier, and turns a refusal into a [`CertFault`] that holds dates and names.
struct CauseNamingVerifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    /// Made with the first server: reading the machine's certificates takes time that plain HTTP need not pay.
    inner: OnceLock<Result<Arc<WebPkiServerVerifier>, String>>,
}

impl CauseNamingVerifier {
    fn inner(&self) -> Result<&WebPkiServerVerifier, rustls::Error> {
        let made = self.inner.get_or_init(|| {
            let roots = match &self.trust {
                Trust::File { roots, .. } => roots.clone(),
                Trust::System => {
                    let mut roots = RootCertStore::empty();
                    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                    Arc::new(roots)
                }
            };
            WebPkiServerVerifier::builder_with_provider(roots, self.provider.clone())
                .build()
                .map_err(|cause| cause.to_string())
        });
        match made {
            Ok(verifier) => Ok(verifier),
            Err(because) => {
                let fault = CertFault::NoTrust { because: because.clone() };
                Err(CertificateError::Other(OtherError(Arc::new(fault))).into())
            }
        }
    }

    fn fault(&self, error: &CertificateError, der: &[u8], name: &ServerName<'_>) -> CertFault {
        let seen = Seen::of(der);
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                CertFault::Expired { on: seen.map(|seen| seen.not_after) }
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                CertFault::NotYet { from: seen.map(|seen| seen.not_before) }
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => CertFault::Issuer {
                issuer: seen.map(|seen| seen.issuer),
                ca: match &self.trust {
                    Trust::File { path, .. } => Some(path.clone()),
                    Trust::System => None,
                },
            },
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                CertFault::Name {
                    wanted: name.to_str().into_owned(),
                    names: seen.map_or_else(Vec::new, |seen| seen.names),
                }
            }
            other => CertFault::Other { because: other.to_string() },
        }
    }
}

impl fmt::Debug for CauseNamingVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CauseNamingVerifier")
    }
}

impl ServerCertVerifier for CauseNamingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let inner = self.inner()?;
        inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| match error {
                rustls::Error::InvalidCertificate(cause) => {
                    let fault = self.fault(&cause, end_entity, server_name);
                    CertificateError::Other(OtherError(Arc::new(fault))).into()
                }
                other => other,
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner()?.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a server's certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CertFault {
    Expired { on: Option<Timestamp> },
    NotYet { from: Option<Timestamp> },
    Issuer { issuer: Option<String>, ca: Option<PathBuf> },
    Name { wanted: String, names: Vec<String> },
    NoTrust { because: String },
    Other { because: String },
}

impl CertFault {
    /// The whole sentence for the server at `origin`.
    pub(crate) fn sentence(&self, origin: &str) -> String {
        let day = |at: &Option<Timestamp>| {
            at.map_or_else(|| "an unknown day".to_owned(), |at| at.to_string())
        };
        match self {
            Self::Expired { on } => format!("the certificate of {origin} expired on {}", day(on)),
            Self::NotYet { from } => format!(
                "the certificate of {origin} is valid from {} only: it is too new, or this machine's clock is behind",
                day(from)
            ),
            Self::Issuer { issuer, ca } => {
                let issuer = issuer.as_deref().unwrap_or("somebody unknown");
                let trusted = match ca {
                    Some(path) => format!("{} does not hold", path.display()),
                    None => "this machine does not trust (name its CA file under `tls`)".to_owned(),
                };
                format!("the certificate of {origin} was signed by `{issuer}`, which {trusted}")
            }
            Self::Name { wanted, names } if names.is_empty() => format!(
                "the certificate of {origin} names no host at all (no subject alternative name), so not `{wanted}`"
            ),
            Self::Name { wanted, names } => {
                format!(
                    "the certificate of {origin} is made out to {}, not to `{wanted}`",
                    names.join(", ")
                )
            }
            Self::NoTrust { because } => format!(
                "nothing on this machine says whom to trust for {origin} ({because}): name its CA file under `tls`"
            ),
            Self::Other { because } => format!("the certificate of {origin} is refused: {because}"),
        }
    }
}

impl fmt::Display for CertFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence("the server"))
    }
}

impl std::error::Error for CertFault {}

/// What a certificate says of itself.
struct Seen {
    not_before: Timestamp,
    not_after: Timestamp,
    issuer: String,
    names: Vec<String>,
}

impl Seen {
    fn of(der: &[u8]) -> Option<Self> {
        let (_, cert) = X509Certificate::from_der(der).ok()?;
        let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        let names = match cert.subject_alternative_name() {
            Ok(Some(extension)) => {
                extension.value.general_names.iter().filter_map(name_of).collect()
            }
            Ok(None) | Err(_) => Vec::new(),
        };
        Some(Self {
            not_before: at(cert.validity().not_before)?,
            not_after: at(cert.validity().not_after)?,
            issuer: cert.issuer().to_string(),
            names,
        })
    }
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(dns) => Some(format!("`{dns}`")),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|ip| format!("`{ip}`"))
        }
        _ => None,
    }
}
