//! Users: tokens fetched once and again when they are forgotten, basic authentication, wrong passwords.

use super::server::*;
use futures::{StreamExt, future::join_all};
use quorate_model::Secret;
use quorate_transport::{
    Answer,
    http::{Credentials, HttpClient, HttpRequest, HttpResponse, LoginRequest},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;

const PASSWORD: &str = r#"hun"ter2"#;

/// A client of user `root` whose password file holds this.
fn client(password: &str) -> (HttpClient, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, format!("{password}\n")).unwrap();
    (HttpClient::new(None, Some(credentials(&path))).unwrap(), folder)
}

fn credentials(path: &Path) -> Credentials {
    Credentials {
        user: "root".into(),
        password: Secret::File(path.to_owned()),
        login: Some(LoginRequest {
            method: "POST".into(),
            url: "{{ origin }}/v3/auth/authenticate".into(),
            body: Some(r#"{"name":"{{ user }}","password":"{{ password }}"}"#.into()),
            form: false,
            token_pointer: "/token".into(),
            header: "Authorization".into(),
        }),
        token_header: None,
        basic_for: Some("/v2/".into()),
    }
}

/// A member that knows one token at a time: the number of logins. `forget` makes it lose them like a restart does.
struct Member {
    server: Server,
    logins: Arc<AtomicUsize>,
    valid: Arc<AtomicUsize>,
}

impl Member {
    /// `refusal` is what it answers to a wrong token.
    async fn start(refusal: (u16, &'static str)) -> Self {
        let (logins, valid) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, good) = (logins.clone(), valid.clone());
        let server = Server::plain(move |seen| {
            if seen.path.ends_with("/authenticate") {
                let asked: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
                if asked["password"] != PASSWORD {
                    let error = "etcdserver: authentication failed, invalid user ID or password";
                    // An unkind server repeats the password.
                    return Reply::Answer(
                        400,
                        format!(
                            "{{\"error\":\"{error}: {}\"}}",
                            asked["password"].as_str().unwrap()
                        ),
                    );
                }
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                good.store(number, Ordering::SeqCst);
                return ok(&format!("{{\"token\":\"token-{number}\"}}"));
            }
            let wanted = format!("token-{}", good.load(Ordering::SeqCst));
            match seen.headers.get("authorization") {
                Some(token) if *token == wanted => ok("allowed"),
                Some(_) | None => Reply::Answer(refusal.0, refusal.1.to_owned()),
            }
        })
        .await;
        Self { server, logins, valid }
    }
    fn forget(&self) {
        self.valid.store(usize::MAX, Ordering::SeqCst);
    }
    fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }
    fn request(&self) -> HttpRequest {
        HttpRequest::post_json(self.server.url("/v3/kv/put"), "{}")
    }
}

fn failed(answer: Answer<HttpResponse>) -> String {
    match answer {
        Answer::Failed(because) => because,
        other => panic!("{other:?} is not Failed"),
    }
}

#[tokio::test]
async fn a_hundred_requests_log_in_once() {
    let member = Member::start((401, "")).await;
    let (client, _folder) = client(PASSWORD);
    let request = member.request();
    for answer in join_all((0..100).map(|_| client.send(&request, LIMIT))).await {
        assert_eq!(
            answer,
            Answer::Done(HttpResponse { status: 200, body: b"allowed".to_vec(), header: None })
        );
    }
    assert_eq!(member.logins(), 1);
}

#[tokio::test]
async fn a_forgotten_token_is_fetched_again_once() {
    for refusal in [(401, ""), (500, r#"{"error":"etcdserver: invalid auth token","code":16}"#)] {
        let member = Member::start(refusal).await;
        let (client, _folder) = client(PASSWORD);
        assert_eq!(client.send(&member.request(), LIMIT).await.done().unwrap().status, 200);
        member.forget();
        // Many at once notice it, and one login serves them all.
        let request = member.request();
        for answer in join_all((0..20).map(|_| client.send(&request, LIMIT))).await {
            assert_eq!(answer.done().unwrap().text(), "allowed");
        }
        assert_eq!(member.logins(), 2, "after {refusal:?}");
    }
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_is_an_answer() {
    let server = Server::plain(|seen| match seen.path.as_str() {
        "/v3/auth/authenticate" => ok(r#"{"token":"t"}"#),
        _ => Reply::Answer(401, "never".into()),
    })
    .await;
    let (client, _folder) = client(PASSWORD);
    let answer = client.send(&HttpRequest::post_json(server.url("/x"), "{}"), LIMIT).await;
    assert_eq!(
        answer,
        Answer::Done(HttpResponse { status: 401, body: b"never".to_vec(), header: None })
    );
    let login = "/v3/auth/authenticate";
    assert_eq!(server.paths(), [login, "/x", login, "/x"], "one more try and no loop");
}

#[tokio::test]
async fn each_member_has_its_own_token() {
    let (first, second) = (Member::start((401, "")).await, Member::start((401, "")).await);
    let (client, _folder) = client(PASSWORD);
    for member in [&first, &second, &first, &second] {
        assert_eq!(client.send(&member.request(), LIMIT).await.done().unwrap().status, 200);
    }
    assert_eq!((first.logins(), second.logins()), (1, 1));
}

#[tokio::test]
async fn a_wrong_password_is_told_and_never_shown() {
    let member = Member::start((401, "")).await;
    let (client, folder) = client("wrong-one");
    let because = failed(client.send(&member.request(), LIMIT).await);
    assert!(because.contains("refused user `root`"), "{because}");
    assert!(because.contains("invalid user ID or password"), "{because}");
    assert!(because.contains(&folder.path().join("password").display().to_string()), "{because}");
    assert!(!because.contains("wrong-one"), "{because}");
    assert_eq!(member.server.paths(), ["/v3/auth/authenticate"], "the request itself was not sent");
}

#[tokio::test]
async fn a_password_changed_on_disk_is_used_at_the_next_login() {
    let member = Member::start((401, "")).await;
    let (client, folder) = client("wrong-one");
    failed(client.send(&member.request(), LIMIT).await);
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    assert_eq!(client.send(&member.request(), LIMIT).await.done().unwrap().status, 200);
}

#[tokio::test]
async fn a_login_refused_for_another_reason_does_not_blame_the_password() {
    let error = r#"{"error":"etcdserver: authentication is not enabled","code":9}"#;
    let server = Server::plain(move |_| Reply::Answer(400, error.into())).await;
    let (client, _folder) = client(PASSWORD);
    let because = failed(client.send(&HttpRequest::get(server.url("/x")), LIMIT).await);
    assert!(
        because.ends_with(
            "refused user `root`: etcdserver: authentication is not enabled (status 400)"
        ),
        "{because}"
    );
}

#[tokio::test]
async fn a_missing_password_file_is_told_and_nothing_is_sent() {
    let member = Member::start((401, "")).await;
    let (client, folder) = client("x");
    std::fs::remove_file(folder.path().join("password")).unwrap();
    let because = failed(client.send(&member.request(), LIMIT).await);
    assert!(because.contains("cannot read the password file"), "{because}");
    assert!(member.server.paths().is_empty());
}

#[tokio::test]
async fn a_login_without_answer_or_token_is_failed_because_nothing_was_sent_yet() {
    let silent = Server::plain(|_| Reply::Silence).await;
    let (client, _folder) = client(PASSWORD);
    let because = failed(client.send(&HttpRequest::post_json(silent.url("/x"), "{}"), SHORT).await);
    assert!(because.contains("cannot log in as `root`"), "{because}");
    let odd = Server::plain(|_| ok("{}")).await;
    let because = failed(client.send(&HttpRequest::post_json(odd.url("/x"), "{}"), LIMIT).await);
    assert!(because.contains("gave no token at `/token`"), "{because}");
}

#[tokio::test]
async fn basic_authentication_goes_where_it_belongs() {
    let server =
        Server::plain(|seen| match seen.headers.get("authorization").map(String::as_str) {
            // root:hun"ter2
            Some("Basic cm9vdDpodW4idGVyMg==") => ok("allowed"),
            _ => Reply::Answer(401, r#"{"message":"Insufficient credentials"}"#.into()),
        })
        .await;
    let (right, _folder) = client(PASSWORD);
    let request = HttpRequest::get(server.url("/v2/keys"));
    assert_eq!(right.send(&request, LIMIT).await.done().unwrap().text(), "allowed");
    let (wrong, _folder) = client("wrong-one");
    let because = failed(wrong.send(&request, LIMIT).await);
    assert!(because.contains("refused user `root`: Insufficient credentials"), "{because}");
}

#[tokio::test]
async fn streams_log_in_too() {
    let member = Member::start((401, "")).await;
    let (client, _folder) = client(PASSWORD);
    assert_eq!(client.send(&member.request(), LIMIT).await.done().unwrap().status, 200);
    member.forget();
    let pieces: Vec<_> = client.stream(&member.request(), LIMIT).collect().await;
    let text: String = pieces
        .into_iter()
        .map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap())
        .collect();
    assert_eq!((text.as_str(), member.logins()), ("allowed", 2));
}
