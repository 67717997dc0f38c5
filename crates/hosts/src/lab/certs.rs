//! Makes the certificates of a lab: one authority, one certificate for the servers, one for clients.
//!
//! The servers' certificate may also act as a client: members dial each other with it, and etcd's JSON gateway dials
//! its own member with it. Subjects are empty, the clients' one too: etcd takes a client certificate's common name for
//! a user name, and with users on the JSON gateway of 3.4 refuses such a client whatever password it shows.

use super::LabError;
use quorate_model::TlsSpec;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use std::path::{Path, PathBuf};

/// The files of a lab's certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certs {
    pub(super) ca: PathBuf,
    pub(super) server: PathBuf,
    pub(super) server_key: PathBuf,
    pub(super) client: PathBuf,
    pub(super) client_key: PathBuf,
}

impl Certs {
    pub(super) fn client_spec(&self) -> TlsSpec {
        TlsSpec {
            ca: self.ca.clone(),
            cert: Some(self.client.clone()),
            key: Some(self.client_key.clone()),
        }
    }
}

/// Names that a member of a lab is reached by.
const NAMES: [&str; 3] = ["127.0.0.1", "::1", "localhost"];

/// Writes the certificates into a folder. The authority's key is not kept: nothing more is to be signed.
pub(super) fn write(folder: &Path) -> Result<Certs, LabError> {
    let certs = Certs {
        ca: folder.join("ca.pem"),
        server: folder.join("server.pem"),
        server_key: folder.join("server-key.pem"),
        client: folder.join("client.pem"),
        client_key: folder.join("client-key.pem"),
    };
    let failed = |error: rcgen::Error| LabError::Setup {
        what: "make certificates".to_owned(),
        because: error.to_string(),
    };
    let ca_key = KeyPair::generate().map_err(failed)?;
    let mut ca = params(&[], "quorate lab").map_err(failed)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    place(&certs.ca, &ca.self_signed(&ca_key).map_err(failed)?.pem(), 0o644)?;
    let issuer = Issuer::new(ca, ca_key);
    let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let client = [ExtendedKeyUsagePurpose::ClientAuth];
    for (names, usages, cert_path, key_path) in [
        (&NAMES[..], &both[..], &certs.server, &certs.server_key),
        (&[], &client[..], &certs.client, &certs.client_key),
    ] {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(names, "").map_err(failed)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        place(cert_path, &params.signed_by(&key, &issuer).map_err(failed)?.pem(), 0o644)?;
        place(key_path, &key.serialize_pem(), 0o600)?;
    }
    Ok(certs)
}

fn params(names: &[&str], subject: &str) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    if !subject.is_empty() {
        params.distinguished_name.push(DnType::CommonName, subject);
    }
    // A lab lives for hours; dates far around it keep a wrong clock from spoiling it.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    Ok(params)
}

fn place(path: &Path, text: &str, mode: u32) -> Result<(), LabError> {
    super::place::write(path, text.as_bytes(), mode)
}
