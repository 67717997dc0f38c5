//! Who Quorate is inside the product: a token fetched by a login and kept until it is refused, or basic authentication.
//!
//! Invariant: the password is read at each login and forgotten after it; only tokens are kept, in memory, one for each login address.

use super::{Body, HttpRequest, HttpResponse};
use crate::{redact, secret, secret::SecretText};
use quorate_model::Secret;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Who Quorate is, and how it proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Where the password is kept.
    pub password: Secret,
    /// How a token is had; none when the product has no tokens.
    pub login: Option<LoginRequest>,
    /// The header in which the password itself goes as the token with every request, where nobody logs in.
    pub token_header: Option<String>,
    /// User and password go as HTTP basic authentication to addresses that contain this, instead of a token.
    pub basic_for: Option<String>,
}

/// How a token is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// `POST`.
    pub method: String,
    /// Whole address; `{{ origin }}` stands for scheme, host and port of the request that needs the token,
    /// and so does an address that begins with `/`.
    pub url: String,
    /// Body with `{{ user }}` and `{{ password }}`, escaped for JSON or the form when they are filled in.
    pub body: Option<String>,
    /// The body is a form, not JSON.
    pub form: bool,
    /// JSON pointer to the token in the answer, `/token`.
    pub token_pointer: String,
    /// The header that carries it.
    pub header: String,
}

/// A body that says this refuses a token, whatever its status: etcd answers 401 on some releases and 400 or 500 on others.
const TOKEN_REFUSED: &str = "invalid auth token";

/// Whether an answer says that the token is not known any more: it ended, or the member forgot it in a restart.
pub(crate) fn refuses_token(response: &HttpResponse) -> bool {
    response.status == 401 || (response.status >= 400 && response.text().contains(TOKEN_REFUSED))
}

/// The place of one token; whoever logs in holds it, so that a hundred requests log in once.
pub(crate) type Place = Arc<tokio::sync::Mutex<TokenPlace>>;

/// The newest token of one login address, when it is still good.
#[derive(Default)]
pub(crate) struct TokenPlace {
    logins: u64,
    text: Option<SecretText>,
}

/// A token, and which login it came from.
pub(crate) struct Token {
    pub(crate) text: SecretText,
    login: u64,
}

impl TokenPlace {
    pub(crate) fn token(&self) -> Option<Token> {
        let text = self.text.clone()?;
        Some(Token { text, login: self.logins })
    }
    pub(crate) fn keep(&mut self, text: SecretText) -> Token {
        self.logins += 1;
        self.text = Some(text.clone());
        Token { text, login: self.logins }
    }
    /// Drops a refused token, unless somebody has already fetched a newer one.
    pub(crate) fn forget(&mut self, refused: &Token) {
        if self.logins == refused.login {
            self.text = None;
        }
    }
}

/// Where one logs in: the address, and the tunnel that leads there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) url: String,
    pub(crate) via: Option<PathBuf>,
}

/// Tokens by login address.
#[derive(Default)]
pub(crate) struct Tokens {
    places: Mutex<HashMap<Address, Place>>,
}

impl Tokens {
    pub(crate) fn place(&self, address: &Address) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(address.clone()).or_default().clone()
    }
}

impl Credentials {
    /// Whether the password goes with the request itself.
    pub(crate) fn is_basic(&self, url: &str) -> bool {
        let named = self.basic_for.as_ref().is_some_and(|part| url.contains(part.as_str()));
        named || self.token_header.is_some()
    }

    pub(crate) fn read_password(&self) -> Result<SecretText, String> {
        secret::read(&self.password).map_err(|error| format!("{error} ({})", error.hint()))
    }

    /// The sentence for a refused user.
    pub(crate) fn refused(
        &self,
        origin: &str,
        answer: &HttpResponse,
        password: &SecretText,
    ) -> String {
        let said = said(answer, &[password.expose()]);
        let text = format!("{origin} refused user `{}`: {said}", self.user);
        let lower = said.to_lowercase();
        let about_password = answer.status == 401
            || ["password", "credential", "authentication failed"]
                .iter()
                .any(|word| lower.contains(word));
        // A refusal for another reason, such as authentication not being enabled, must not send people after passwords.
        if about_password {
            format!("{text} (check the password in {})", secret::place(&self.password))
        } else {
            text
        }
    }
}

/// What a server said, in a sentence's length: its `error` or `message` when it speaks JSON.
pub(crate) fn said(answer: &HttpResponse, secrets: &[&str]) -> String {
    let json = answer.json();
    let field = |name: &str| json.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let text = field("error").or_else(|| field("message")).unwrap_or_else(|| answer.text());
    let text = redact::text(&text, secrets);
    if text.is_empty() {
        format!("status {}", answer.status)
    } else {
        format!("{text} (status {})", answer.status)
    }
}

impl LoginRequest {
    /// Where the login goes for a request to `origin`.
    pub(crate) fn address(&self, origin: &str) -> String {
        if self.url.starts_with('/') {
            return format!("{origin}{}", self.url);
        }
        fill(&self.url, &[("origin", origin)])
    }

    /// The request itself, with the password in it.
    pub(crate) fn request(&self, address: &str, user: &str, password: &SecretText) -> HttpRequest {
        let escape = |text: &str| if self.form { form_escaped(text) } else { json_escaped(text) };
        let (user, password) = (escape(user), escape(password.expose()));
        let body = self.body.as_ref().map(|body| {
            let text = fill(body, &[("user", &user), ("password", &password)]);
            if self.form { Body::Form(text) } else { Body::Json(text) }
        });
        HttpRequest { body, ..HttpRequest::new(&self.method, address).reads_only() }
    }

    /// The token in an answer.
    pub(crate) fn token(&self, answer: &HttpResponse) -> Option<SecretText> {
        let json = answer.json()?;
        let token = json.pointer(&self.token_pointer)?.as_str()?;
        (!token.is_empty()).then(|| SecretText::new(token))
    }
}

/// Fills `{{ name }}` in one pass, so that a value that looks like a placeholder stays what it is.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let Some(len) = rest[start..].find("}}") else { break };
        let name = rest[start + 2..start + len].trim();
        filled.push_str(&rest[..start]);
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => filled.push_str(value),
            None => filled.push_str(&rest[start..start + len + 2]),
        }
        rest = &rest[start + len + 2..];
    }
    filled.push_str(rest);
    filled
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn form_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(form: bool) -> LoginRequest {
        LoginRequest {
            method: "POST".into(),
            url: "{{ origin }}/v3/auth/authenticate".into(),
            body: Some(if form {
                "u={{user}}&p={{ password }}".into()
            } else {
                r#"{"name":"{{ user }}","password":"{{ password }}"}"#.into()
            }),
            form,
            token_pointer: "/token".into(),
            header: "Authorization".into(),
        }
    }

    #[test]
    fn values_are_escaped_and_never_filled_twice() {
        let odd = SecretText::new(r#"a"b\{{ user }}&ü"#);
        let json = login(false).request("http://a/x", "root", &odd);
        let Some(Body::Json(text)) = json.body else { panic!("json expected") };
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["password"], r#"a"b\{{ user }}&ü"#);
        assert_eq!(parsed["name"], "root");

        let form = login(true).request("http://a/x", "root", &odd);
        assert_eq!(
            form.body,
            Some(Body::Form("u=root&p=a%22b%5C%7B%7B%20user%20%7D%7D%26%C3%BC".into()))
        );
    }

    #[test]
    fn address_follows_the_request() {
        let template = login(false);
        assert_eq!(template.address("http://m1:2379"), "http://m1:2379/v3/auth/authenticate");
        let bare = LoginRequest { url: "/login".into(), ..login(false) };
        assert_eq!(bare.address("http://m1:2379"), "http://m1:2379/login");
        let fixed = LoginRequest { url: "http://m0/login".into(), ..login(false) };
        assert_eq!(fixed.address("http://m1:2379"), "http://m0/login");
    }

    #[test]
    fn only_a_refusal_drops_the_token() {
        let answer = |status, body: &str| HttpResponse { status, body: body.into(), header: None };
        assert!(refuses_token(&answer(401, "")));
        assert!(refuses_token(&answer(
            500,
            r#"{"error":"etcdserver: invalid auth token","code":16}"#
        )));
        assert!(!refuses_token(&answer(200, "a value that says invalid auth token")));
        assert!(!refuses_token(&answer(400, "etcdserver: permission denied")));
    }
}
