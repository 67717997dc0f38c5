//! Done, Failed, Unknown: what each way to get or lose an answer means.

use super::server::*;
use quorate_transport::{
    Answer,
    http::{HttpClient, HttpRequest, HttpResponse},
};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn client() -> HttpClient {
    HttpClient::new(None, None).unwrap()
}

async fn send(request: &HttpRequest, limit: Duration) -> Answer<HttpResponse> {
    client().send(request, limit).await
}

/// Asserts on the answer's kind and on parts of its sentence.
fn check(answer: Answer<HttpResponse>, kind: &str, says: &[&str]) {
    let (found, text) = match answer {
        Answer::Done(response) => ("done", format!("{} {}", response.status, response.text())),
        Answer::Failed(because) => ("failed", because),
        Answer::Unknown(because) => ("unknown", because),
    };
    assert_eq!(found, kind, "{text}");
    for part in says {
        assert!(text.contains(part), "`{text}` does not say `{part}`");
    }
}

#[tokio::test]
async fn an_answer_is_done_whatever_its_status() {
    let server = Server::plain(|seen| match seen.path.as_str() {
        "/ok" => ok("yes"),
        _ => Reply::Answer(503, "no leader".into()),
    })
    .await;
    check(send(&HttpRequest::get(server.url("/ok")), LIMIT).await, "done", &["200 yes"]);
    let post =
        HttpRequest::post_json(server.url("/v3/x?token=t"), r#"{"a":1}"#).header("X-Extra", "one");
    check(send(&post, LIMIT).await, "done", &["503 no leader"]);
    let seen = &server.seen()[1];
    assert_eq!((seen.method.as_str(), seen.body.as_str()), ("POST", r#"{"a":1}"#));
    let header = |name: &str| seen.headers.get(name).map(String::as_str);
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("content-length"), Some("7"), "old servers know no chunked requests");
    assert_eq!(header("x-extra"), Some("one"));
}

#[tokio::test]
async fn a_form_is_sent_as_one() {
    let server = Server::plain(|_| ok("")).await;
    let put = HttpRequest::new("PUT", server.url("/v2/keys/a")).form("value=1%202");
    check(send(&put, LIMIT).await, "done", &["200"]);
    let seen = &server.seen()[0];
    assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(seen.body, "value=1%202");
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::plain(|_| ok("yes")).await;
    let client = client();
    for _ in 0..3 {
        check(client.send(&HttpRequest::get(server.url("/")), LIMIT).await, "done", &["200"]);
        check(
            client.clone().send(&HttpRequest::post_json(server.url("/"), "{}"), LIMIT).await,
            "done",
            &["200"],
        );
    }
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1; 6]);
}

#[tokio::test]
async fn refused_is_failed() {
    let origin = nobody("http").await;
    let post = HttpRequest::post_json(format!("{origin}/v3/kv/put"), "{}");
    check(
        send(&post, LIMIT).await,
        "failed",
        &[&origin, "refused the connection", "nothing listens"],
    );
}

#[tokio::test]
async fn an_unknown_host_is_failed() {
    // A label of more than 63 letters is no name, so no name server is asked.
    let url = format!("http://{}.example/", "a".repeat(70));
    check(
        send(&HttpRequest::post_json(url, "{}"), LIMIT).await,
        "failed",
        &["the host of", "is unknown"],
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_made_is_failed() {
    check(send(&HttpRequest::get("no address"), LIMIT).await, "failed", &["cannot be asked"]);
    check(
        send(&HttpRequest::new("B AD", "http://127.0.0.1:1"), LIMIT).await,
        "failed",
        &["no HTTP method"],
    );
    let header = HttpRequest::get("http://127.0.0.1:1").header("X-A", "line\nbreak");
    check(send(&header, LIMIT).await, "failed", &["header X-A"]);
}

#[tokio::test]
async fn silence_after_sending_is_unknown_unless_it_only_reads() {
    let server = Server::plain(|_| Reply::Silence).await;
    let began = Instant::now();
    let post = HttpRequest::post_json(server.url("/v3/kv/put"), "{}");
    check(send(&post, SHORT).await, "unknown", &["POST", "/v3/kv/put", "within 150ms"]);
    check(send(&HttpRequest::new("DELETE", server.url("/k")), SHORT).await, "unknown", &["DELETE"]);
    check(send(&HttpRequest::get(server.url("/k")), SHORT).await, "failed", &["within 150ms"]);
    check(send(&post.reads_only(), SHORT).await, "failed", &["within 150ms"]);
    assert!(began.elapsed() < LIMIT, "the limit is kept");
}

#[tokio::test]
async fn silence_before_sending_is_failed() {
    // Takes connections and never begins the handshake, so that no byte of the request can be sent.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v3/kv/put", listener.local_addr().unwrap());
    check(send(&HttpRequest::post_json(url, "{}"), SHORT).await, "failed", &["within 150ms"]);
}

#[tokio::test]
async fn a_cut_connection_is_unknown_unless_it_only_reads() {
    let server =
        Server::plain(|seen| if seen.path == "/cut" { Reply::Cut } else { Reply::CutInBody }).await;
    for path in ["/cut", "/half"] {
        let post = HttpRequest::post_json(server.url(path), "{}");
        check(send(&post, LIMIT).await, "unknown", &[&server.origin]);
        check(send(&HttpRequest::get(server.url(path)), LIMIT).await, "failed", &[&server.origin]);
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_may_speak_tls_unless_it_has_answered_before() {
    let server = Server::plain(|seen| if seen.path == "/ok" { ok("") } else { Reply::Cut }).await;
    let (client, get) = (client(), |path: &str| HttpRequest::get(server.url(path)));
    let hint = "must begin with https://";
    check(client.send(&get("/cut"), LIMIT).await, "failed", &["before it answered", hint]);
    check(client.send(&get("/ok"), LIMIT).await, "done", &[]);
    match client.send(&get("/cut"), LIMIT).await {
        Answer::Failed(because) => assert!(!because.contains(hint), "{because}"),
        other => panic!("{other:?} is not Failed"),
    }
}

#[tokio::test]
async fn sentences_hold_no_secrets_of_the_address() {
    let origin = nobody("http").await;
    let url = format!("{}/x?token=hunter2", origin.replace("//", "//root:hunter2@"));
    match send(&HttpRequest::post_json(&url, "{}"), LIMIT).await {
        Answer::Failed(because) => assert!(!because.contains("hunter2"), "{because}"),
        other => panic!("{other:?}"),
    }
    let server = Server::plain(|_| Reply::Silence).await;
    let url = format!("{}/x?token=hunter2", server.origin.replace("//", "//root:hunter2@"));
    match send(&HttpRequest::post_json(&url, "{}"), SHORT).await {
        Answer::Unknown(because) => assert!(!because.contains("hunter2"), "{because}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn redirections_are_followed_for_downloads_only() {
    let server = Server::plain(|seen| match seen.path.as_str() {
        "/new" => ok("there"),
        _ => Reply::MovedTo("/new"),
    })
    .await;
    check(send(&HttpRequest::get(server.url("/old")), LIMIT).await, "done", &["302"]);
    let download = HttpClient::for_downloads().unwrap();
    check(
        download.send(&HttpRequest::get(server.url("/old")), LIMIT).await,
        "done",
        &["200 there"],
    );
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_while_the_client_lives() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 4096];
        assert!(connection.read(&mut bytes).await.unwrap() > 0);
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        // The next that comes is the end: a server that waits for its connections may go.
        connection.read(&mut bytes).await.unwrap()
    });
    let client = client();
    check(client.send(&HttpRequest::get(url), LIMIT).await, "done", &["ok"]);
    let read = tokio::time::timeout(LIMIT, served).await.expect("it is closed in time").unwrap();
    assert_eq!(read, 0);
    drop(client);
}
