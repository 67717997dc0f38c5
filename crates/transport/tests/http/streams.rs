//! Answers that come piece by piece.

use super::server::*;
use futures::StreamExt;
use quorate_transport::http::{HttpClient, HttpRequest, documents};

/// All documents of a stream, and its fault when it ended with one.
async fn told(url: String) -> (Vec<String>, Option<String>) {
    let client = HttpClient::new(None, None).unwrap();
    let request = HttpRequest::post_json(url, "{}");
    let (mut seen, mut fault) = (Vec::new(), None);
    let mut stream = documents(client.stream(&request, SHORT));
    while let Some(item) = stream.next().await {
        assert!(fault.is_none(), "a fault is the last item");
        match item {
            Ok(document) => seen.push(document.to_string()),
            Err(because) => fault = Some(because),
        }
    }
    assert!(stream.next().await.is_none(), "an ended stream may be asked again");
    (seen, fault)
}

async fn check(
    reply: impl Fn() -> Reply + Send + Sync + 'static,
    seen: &[&str],
    fault: Option<&str>,
) {
    let server = Server::plain(move |_| reply()).await;
    let (documents, because) = told(server.url("/v3/watch")).await;
    assert_eq!(documents, seen);
    match (because, fault) {
        (None, None) => {}
        (Some(because), Some(fault)) => assert!(because.contains(fault), "{because}"),
        (because, fault) => panic!("{because:?} is not {fault:?}"),
    }
}

#[tokio::test]
async fn documents_come_as_they_are_sent() {
    let chunks = || Reply::Chunks(vec![r#"{"a":1}"#, "\n{\"b\"", ":2}\n"], End::Proper);
    check(chunks, &[r#"{"a":1}"#, r#"{"b":2}"#], None).await;
}

#[tokio::test]
async fn a_cut_is_the_last_item() {
    let chunks = || Reply::Chunks(vec![r#"{"a":1}"#], End::Cut);
    check(chunks, &[r#"{"a":1}"#], Some("cut the connection in the middle")).await;
}

#[tokio::test]
async fn silence_has_an_end() {
    let chunks = || Reply::Chunks(vec![r#"{"a":1}"#], End::Silence);
    check(chunks, &[r#"{"a":1}"#], Some("sent nothing for 150ms")).await;
    check(|| Reply::Silence, &[], Some("within 150ms")).await;
}

#[tokio::test]
async fn a_refusal_is_a_fault_with_the_servers_words() {
    let refused = || {
        Reply::Answer(
            400,
            r#"{"error":"etcdserver: mvcc: required revision has been compacted"}"#.into(),
        )
    };
    check(refused, &[], Some("required revision has been compacted (status 400)")).await;
}

#[tokio::test]
async fn refused_is_a_fault() {
    let (seen, fault) = told(nobody("http").await).await;
    assert!(seen.is_empty());
    assert!(fault.unwrap().contains("refused the connection"));
}
