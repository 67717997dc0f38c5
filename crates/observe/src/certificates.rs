//! Looks at certificates: one that has expired stops every client, one that soon will deserves a warning.

use crate::{finding, process::find::Found};
use jiff::{Timestamp, ToSpan};
use quorate_model::{Finding, Setting, Severity, TlsSpec};
use quorate_transport::Transport;
use std::path::{Path, PathBuf};
use x509_parser::pem::Pem;

/// A certificate that ends within this many hours is warned of: thirty days, the notice that public authorities give.
const WARN_HOURS: i64 = 30 * 24;

/// Certificates that Quorate itself uses.
pub(crate) async fn of_client(
    transport: &dyn Transport,
    tls: &TlsSpec,
    now: Timestamp,
) -> Vec<Finding> {
    let TlsSpec { ca, cert, key: _ } = tls;
    let mut findings = Vec::new();
    for path in std::iter::once(ca).chain(cert) {
        findings.extend(of_file(transport, path, now).await);
    }
    findings
}

/// Certificates that a member's settings name: any setting that ends in `cert-file` or `ca-file`.
pub(crate) async fn of_settings(
    transport: &dyn Transport,
    settings: &[Setting],
    process: Option<&Found>,
    now: Timestamp,
) -> Vec<Finding> {
    let folder =
        process.and_then(|found| found.work_dir.clone()).unwrap_or_else(|| PathBuf::from("/"));
    let mut paths: Vec<PathBuf> = settings
        .iter()
        .filter(|setting| {
            let key = setting.key.to_lowercase().replace('_', "-");
            !setting.value.is_empty() && (key.ends_with("cert-file") || key.ends_with("ca-file"))
        })
        .map(|setting| folder.join(&setting.value))
        .collect();
    paths.sort();
    paths.dedup();
    let mut findings = Vec::new();
    for path in paths {
        findings.extend(of_file(transport, &path, now).await);
    }
    findings
}

async fn of_file(transport: &dyn Transport, path: &Path, now: Timestamp) -> Vec<Finding> {
    match transport.read(path).await.into_result() {
        Ok(content) => judge(path, &content, now),
        Err(because) => vec![unreadable(path, &because)],
    }
}

fn unreadable(path: &Path, because: &str) -> Finding {
    finding(
        Severity::Warning,
        "certificate-unseen",
        format!("the certificate {} cannot be read: {because}", path.display()),
        Some("its end is not known; make it readable to the user that runs quorate".into()),
    )
}

/// Judges every certificate of a PEM file.
fn judge(path: &Path, content: &[u8], now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut count = 0;
    for pem in Pem::iter_from_buffer(content) {
        let parsed = pem.map_err(|error| error.to_string()).and_then(|pem| {
            if pem.label != "CERTIFICATE" {
                return Ok(None);
            }
            let certificate = pem.parse_x509().map_err(|error| error.to_string())?;
            let end = certificate.validity().not_after.timestamp();
            let end = Timestamp::from_second(end).map_err(|error| error.to_string())?;
            Ok(Some((certificate.subject().to_string(), end)))
        });
        match parsed {
            Ok(Some((subject, end))) => {
                count += 1;
                findings.extend(judge_end(path, &subject, end, now));
            }
            Ok(None) => {}
            Err(because) => return vec![unreadable(path, &because)],
        }
    }
    if count == 0 { vec![unreadable(path, "it holds no certificate")] } else { findings }
}

fn judge_end(path: &Path, subject: &str, end: Timestamp, now: Timestamp) -> Option<Finding> {
    let path = path.display();
    if end <= now {
        return Some(finding(
            Severity::Error,
            "certificate-expired",
            format!("the certificate {path} ({subject}) expired at {end}"),
            Some("put a new certificate in its place before anything is restarted".into()),
        ));
    }
    let soon = now.checked_add(WARN_HOURS.hours()).is_ok_and(|limit| end <= limit);
    soon.then(|| {
        finding(
            Severity::Warning,
            "certificate-expires",
            format!("the certificate {path} ({subject}) expires at {end}"),
            Some("renew it soon; members read it when they start".into()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(content: &[u8], now: &str) -> Vec<String> {
        let findings = judge(Path::new("/c.pem"), content, now.parse().unwrap());
        findings.into_iter().map(|finding| finding.code).collect()
    }

    fn certificate() -> String {
        let mut params = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2025, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn warns_before_the_end_and_refuses_after_it() {
        let pem = certificate();
        assert!(codes(pem.as_bytes(), "2025-06-01T00:00:00Z").is_empty());
        assert_eq!(codes(pem.as_bytes(), "2025-12-20T00:00:00Z"), ["certificate-expires"]);
        assert_eq!(codes(pem.as_bytes(), "2026-01-01T00:00:00Z"), ["certificate-expired"]);
        let both = format!("{pem}{pem}");
        assert_eq!(
            codes(both.as_bytes(), "2027-01-01T00:00:00Z").len(),
            2,
            "every one of a bundle counts"
        );
    }

    #[test]
    fn what_is_no_certificate_is_said() {
        for content in
            ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            assert_eq!(
                codes(content.as_bytes(), "2025-06-01T00:00:00Z"),
                ["certificate-unseen"],
                "{content}"
            );
        }
    }
}
