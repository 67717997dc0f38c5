//! TLS that works, and every way in which it does not, with the cause in the sentence.

use super::server::*;
use quorate_model::TlsSpec;
use quorate_transport::{
    Answer,
    http::{HttpClient, HttpRequest, TlsError},
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use std::{path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

/// An authority that signs certificates and keeps its own in a file.
struct Authority {
    folder: TempDir,
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
struct Pair {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, certificate, issuer: Issuer::new(params, key) }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    fn sign(&self, host: &str, shape: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        shape(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate, key }
    }
    /// Trusts this authority, without a client certificate.
    fn spec(&self) -> TlsSpec {
        TlsSpec { ca: self.path("ca.pem"), cert: None, key: None }
    }
    /// Trusts this authority and shows a certificate of its own.
    fn spec_with(&self, pair: &Pair) -> TlsSpec {
        let (cert, key) = (self.path("client.pem"), self.path("client.key"));
        std::fs::write(&cert, pair.certificate.pem()).unwrap();
        std::fs::write(&key, pair.key.serialize_pem()).unwrap();
        TlsSpec { cert: Some(cert), key: Some(key), ..self.spec() }
    }
    /// A server that asks for a certificate of this authority when `asks`.
    fn server(&self, pair: &Pair, asks: bool) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let chain = vec![pair.certificate.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.key.serialize_der()));
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        builder.with_single_cert(chain, key).unwrap()
    }
}

const LOOPBACK: &str = "127.0.0.1";

async fn ask(server: &Server, spec: &TlsSpec) -> Answer<String> {
    let client = HttpClient::new(Some(spec), None).unwrap();
    client
        .send(&HttpRequest::post_json(server.url("/x"), "{}"), LIMIT)
        .await
        .map(|answer| answer.text())
}

/// Asserts that the request failed, for sure and with these words.
async fn check(server: &Server, spec: &TlsSpec, says: &[&str]) {
    match ask(server, spec).await {
        Answer::Failed(because) => {
            for part in says {
                assert!(because.contains(part), "`{because}` does not say `{part}`");
            }
        }
        other => panic!("{other:?} is not Failed"),
    }
    assert!(server.seen().is_empty(), "the server saw no request");
}

#[tokio::test]
async fn a_good_certificate_is_taken() {
    let authority = Authority::new("ca");
    let pair = authority.sign(LOOPBACK, |_| ());
    let server = Server::tls(authority.server(&pair, false), |_| ok("yes")).await;
    assert_eq!(ask(&server, &authority.spec()).await, Answer::Done("yes".into()));
}

#[tokio::test]
async fn an_expired_certificate_names_its_day() {
    let authority = Authority::new("ca");
    let pair = authority.sign(LOOPBACK, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    });
    let server = Server::tls(authority.server(&pair, false), |_| ok("yes")).await;
    let says = format!("the certificate of {} expired on 2021-02-03T00:00:00Z", server.origin);
    check(&server, &authority.spec(), &[&says]).await;
}

#[tokio::test]
async fn a_certificate_of_tomorrow_hints_at_the_clock() {
    let authority = Authority::new("ca");
    let pair = authority.sign(LOOPBACK, |params| params.not_before = date_time_ymd(2999, 1, 1));
    let server = Server::tls(authority.server(&pair, false), |_| ok("yes")).await;
    check(&server, &authority.spec(), &["is valid from 2999-01-01T00:00:00Z", "clock"]).await;
}

#[tokio::test]
async fn an_unknown_authority_is_named() {
    let (ours, theirs) = (Authority::new("our authority"), Authority::new("their authority"));
    let pair = theirs.sign(LOOPBACK, |_| ());
    let server = Server::tls(theirs.server(&pair, false), |_| ok("yes")).await;
    let file = ours.path("ca.pem").display().to_string();
    check(&server, &ours.spec(), &[&server.origin, "their authority", &file]).await;
    let client = HttpClient::new(None, None).unwrap();
    match client.send(&HttpRequest::get(server.url("/")), LIMIT).await {
        Answer::Failed(because) => assert!(
            because.contains("certificate of https://") || because.contains("trust"),
            "{because}"
        ),
        other => panic!("{other:?} is not Failed"),
    }
}

#[tokio::test]
async fn a_wrong_host_names_both() {
    let authority = Authority::new("ca");
    let pair = authority.sign("db-1.example", |_| ());
    let server = Server::tls(authority.server(&pair, false), |_| ok("yes")).await;
    check(&server, &authority.spec(), &["is made out to `db-1.example`, not to `127.0.0.1`"]).await;
}

#[tokio::test]
async fn a_certificate_without_names_says_so() {
    let authority = Authority::new("ca");
    let pair = authority.sign(LOOPBACK, |params| params.subject_alt_names.clear());
    let server = Server::tls(authority.server(&pair, false), |_| ok("yes")).await;
    check(&server, &authority.spec(), &["names no host at all"]).await;
}

#[tokio::test]
async fn a_server_without_tls_is_told() {
    let authority = Authority::new("ca");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let plain = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.unwrap();
        // Open until the client has read it: an early end would be a reset, which tells less.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let client = HttpClient::new(Some(&authority.spec()), None).unwrap();
    match client.send(&HttpRequest::post_json(&origin, "{}"), LIMIT).await {
        Answer::Failed(because) => {
            assert_eq!(
                because,
                format!("{origin} does not speak TLS: its address probably begins with http://")
            );
        }
        other => panic!("{other:?} is not Failed"),
    }
    plain.await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_shown_when_asked_for() {
    let authority = Authority::new("ca");
    let (server, client) = (authority.sign(LOOPBACK, |_| ()), authority.sign("quorate", |_| ()));
    let server = Server::tls(authority.server(&server, true), |_| ok("yes")).await;
    assert_eq!(ask(&server, &authority.spec_with(&client)).await, Answer::Done("yes".into()));
}

#[tokio::test]
async fn a_missing_or_refused_client_certificate_is_told() {
    let authority = Authority::new("ca");
    let pair = authority.sign(LOOPBACK, |_| ());
    let server = Server::tls(authority.server(&pair, true), |_| ok("yes")).await;
    check(&server, &authority.spec(), &["asks for a client certificate, and none is given"]).await;
    let old = authority.sign("quorate", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    });
    check(&server, &authority.spec_with(&old), &["client.pem", "expired on 2021-02-03T00:00:00Z"])
        .await;
}

fn refused(spec: &TlsSpec) -> TlsError {
    match HttpClient::new(Some(spec), None) {
        Ok(_) => panic!("a client was made"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new("ca");
    let none = TlsSpec { ca: authority.path("none.pem"), ..authority.spec() };
    let error = refused(&none);
    assert!(error.to_string().contains("none.pem: no such file"), "{error}");
    assert!(error.hint().contains("none.pem"));

    std::fs::write(authority.path("text.pem"), "hello").unwrap();
    let text = TlsSpec { ca: authority.path("text.pem"), ..authority.spec() };
    assert!(matches!(refused(&text), TlsError::NotPem { what: "CA certificate", .. }));

    let good = authority.spec_with(&authority.sign("quorate", |_| ()));
    let half = TlsSpec { key: None, ..good.clone() };
    assert!(refused(&half).to_string().contains("without the key"));
    let half = TlsSpec { cert: None, ..good.clone() };
    assert!(refused(&half).to_string().contains("without the certificate"));

    let no_key = TlsSpec { key: Some(authority.path("ca.pem")), ..good.clone() };
    assert!(matches!(refused(&no_key), TlsError::NotPem { what: "client key", .. }));

    std::fs::write(authority.path("other.key"), KeyPair::generate().unwrap().serialize_pem())
        .unwrap();
    let swapped = TlsSpec { key: Some(authority.path("other.key")), ..good };
    assert!(matches!(refused(&swapped), TlsError::Pair { .. }), "{}", refused(&swapped));
}
