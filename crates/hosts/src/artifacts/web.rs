//! Fetches a release from an http(s) address, whose SHA-256 must be given: the address is not trusted, the digest is.

use super::{
    ArtifactError, Cache, OnProgress, Progress, archive,
    cache::{FILE_BYTES_MAX, blocking},
    silent,
};
use futures::StreamExt;
use quorate_model::{ArtifactRef, ArtifactSource, Digest, PackName, Release};
use quorate_transport::http::{HttpClient, HttpRequest};
use std::{io::Write, path::PathBuf, time::Duration};
use tokio::time::{Instant, timeout_at};

/// A release to fetch from the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRequest {
    /// The product.
    pub pack: PackName,
    /// The release that the address is said to hold.
    pub release: Release,
    /// A tar.gz, a zip or a bare binary.
    pub url: String,
    /// SHA-256 of what the address gives, before unpacking.
    pub sha256: Digest,
    /// Programs to take, the server first.
    pub binaries: Vec<String>,
}

/// A transfer that gives no byte for this long has died.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// 100 MB at 1 Mbit/s take 14 minutes; slower than that, a person should fetch the file another way.
const FETCH_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Fetches, checks and unpacks a release. One that is in the cache already needs no network. It is remembered as that
/// release only when `says` agrees, which is given the server's file: a digest tells what a file is, not which release.
pub async fn fetch(
    cache: &Cache,
    request: &WebRequest,
    progress: OnProgress<'_>,
    says: impl AsyncFnOnce(PathBuf) -> Result<(), String>,
) -> Result<ArtifactRef, ArtifactError> {
    let source = ArtifactSource::Url { url: request.url.clone(), sha256: request.sha256.clone() };
    let known = cache.known(&request.pack, &request.release).filter(|known| known.source == source);
    if let Some(known) = known {
        return Ok(known);
    }
    if cache.get(&request.sha256)?.is_none() {
        download(cache, request, progress).await?;
    }
    let archive = cache.get(&request.sha256)?.ok_or_else(|| ArtifactError::Fetch {
        url: request.url.clone(),
        because: "the file vanished from the cache while it was unpacked".to_owned(),
    })?;
    progress(Progress::step(format!("unpacking {} {}", request.pack, request.release)));
    let (inner, url, binaries) = (cache.clone(), request.url.clone(), request.binaries.clone());
    let mut files = blocking(move || archive::unpack(&inner, &archive, &url, &binaries)).await?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let artifact =
        ArtifactRef { pack: request.pack.clone(), release: request.release.clone(), source, files };
    let server = request.binaries.first();
    let server = artifact.files.iter().find(|file| Some(&file.name) == server);
    if let Some(path) = server.map(|file| cache.get(&file.sha256)).transpose()?.flatten() {
        let wrong = |because| ArtifactError::Fetch { url: request.url.clone(), because };
        says(path).await.map_err(wrong)?;
    }
    cache.remember(&artifact)?;
    Ok(artifact)
}

/// Fetches an artifact again whose files left the cache.
pub(super) async fn fetch_again(
    cache: &Cache,
    artifact: &ArtifactRef,
    url: &str,
    sha256: &Digest,
) -> Result<(), ArtifactError> {
    let request = WebRequest {
        pack: artifact.pack.clone(),
        release: artifact.release.clone(),
        url: url.to_owned(),
        sha256: sha256.clone(),
        binaries: artifact.files.iter().map(|file| file.name.clone()).collect(),
    };
    // The digest of each file is in the artifact: which release it is was asked when it was first fetched.
    fetch(cache, &request, &silent, async |_| Ok(())).await.map(drop)
}

async fn download(
    cache: &Cache,
    request: &WebRequest,
    progress: OnProgress<'_>,
) -> Result<(), ArtifactError> {
    let failed = |because: String| ArtifactError::Fetch { url: request.url.clone(), because };
    let scheme = request.url.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("http" | "https")) {
        return Err(failed("only http and https addresses can be fetched".to_owned()));
    }
    let client = HttpClient::for_downloads().map_err(|error| failed(error.to_string()))?;
    let mut pieces = client.stream(&HttpRequest::get(&*request.url), SILENCE_LIMIT);
    let tmp = cache.dir().join("tmp");
    let mut file =
        tempfile::NamedTempFile::new_in(&tmp).map_err(ArtifactError::disk("write in", &tmp))?;
    let mut bytes: u64 = 0;
    let what = format!("fetching {} {}", request.pack, request.release);
    let deadline = Instant::now() + FETCH_LIMIT;
    loop {
        let piece = match timeout_at(deadline, pieces.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(because))) if bytes == 0 => return Err(failed(because)),
            Ok(Some(Err(because))) => {
                return Err(failed(format!(
                    "the transfer was cut short after {bytes} bytes: {because}"
                )));
            }
            Ok(None) => break,
            Err(_) => {
                return Err(failed(format!(
                    "only {bytes} bytes came within {} s",
                    FETCH_LIMIT.as_secs()
                )));
            }
        };
        bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if bytes > FILE_BYTES_MAX {
            return Err(ArtifactError::TooLarge {
                what: request.url.clone(),
                limit_bytes: FILE_BYTES_MAX,
            });
        }
        file.write_all(&piece).map_err(ArtifactError::disk("write", file.path()))?;
        progress(Progress { what: what.clone(), bytes, total: None });
    }
    let (inner, expected, url) = (cache.clone(), request.sha256.clone(), request.url.clone());
    blocking(move || match inner.add_file(file.path(), Some(&expected)) {
        Err(ArtifactError::Damaged { expected, actual, .. }) => {
            Err(ArtifactError::Damaged { what: format!("{url} ({bytes} bytes)"), expected, actual })
        }
        other => other.map(drop),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Answers each connection with the same bytes and closes it; gives the address.
    async fn server(answer: Vec<u8>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
            }
        });
        format!("http://{address}/etcd")
    }

    fn answer(status: &str, claimed: usize, body: &[u8]) -> Vec<u8> {
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {claimed}\r\nconnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    const BODY: &[u8] = b"#!/bin/sh\necho server\n";

    async fn fetched(
        dir: &std::path::Path,
        url: String,
        body: &[u8],
    ) -> Result<ArtifactRef, String> {
        let cache = Cache::open(dir).unwrap();
        let (sha256, _) = Cache::open(dir.join("other")).unwrap().add("x", body, 1000).unwrap();
        let request = WebRequest {
            pack: "etcd".into(),
            release: "3.4.23".parse().unwrap(),
            url,
            sha256,
            binaries: vec!["etcd".to_owned()],
        };
        let says = async |_| Ok(());
        fetch(&cache, &request, &silent, says).await.map_err(|error| error.sentence())
    }

    #[tokio::test]
    async fn fetches_once_and_then_needs_no_network() {
        let dir = tempfile::tempdir().unwrap();
        let url = server(answer("200 OK", BODY.len(), BODY)).await;
        let first = fetched(dir.path(), url.clone(), BODY).await.unwrap();
        assert_eq!(first.files[0].name, "etcd");
        // The same address, where nobody answers any more, is not asked.
        let cache = Cache::open(dir.path()).unwrap();
        assert_eq!(cache.known(&first.pack, &first.release), Some(first.clone()));
        assert_eq!(fetched(dir.path(), url, BODY).await.unwrap(), first);
    }

    #[tokio::test]
    async fn says_what_went_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let missing = server(answer("404 Not Found", 0, b"")).await;
        let short = server(answer("200 OK", BODY.len() + 5, BODY)).await;
        let other = server(answer("200 OK", 5, b"other")).await;
        let cases = [
            (missing, "404"),
            (short, "cut short"),
            (other, "has digest"),
            ("ftp://127.0.0.1/etcd".to_owned(), "only http and https"),
            ("http://127.0.0.1:1/etcd".to_owned(), "cannot fetch"),
        ];
        for (url, reason) in cases {
            let said = fetched(dir.path(), url, BODY).await.unwrap_err();
            assert!(said.contains(reason), "{reason}: {said}");
        }
    }
}
