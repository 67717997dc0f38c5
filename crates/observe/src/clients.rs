//! HTTP clients of one cluster: releases log in differently, so there is one client for each way of the pack.

use quorate_model::{AuthSpec, Cluster, Release, TlsSpec};
use quorate_packs::{CallTemplate, Login, Pack, template_value};
use quorate_transport::http::{Credentials, HttpClient, LoginRequest, TlsError};
use serde_json::json;
use std::sync::Arc;

/// HTTP clients of one cluster. Cloning shares connections and tokens.
#[derive(Clone)]
pub struct Clients {
    anonymous: HttpClient,
    by_login: Arc<Vec<(Login, HttpClient)>>,
}

impl Clients {
    /// Clients with the TLS files and the user of a cluster.
    pub fn new(pack: &Pack, cluster: &Cluster) -> Result<Self, TlsError> {
        Self::with(pack, cluster.tls.as_ref(), cluster.auth.as_ref())
    }

    /// Clients with these TLS files and this user.
    pub fn with(
        pack: &Pack,
        tls: Option<&TlsSpec>,
        auth: Option<&AuthSpec>,
    ) -> Result<Self, TlsError> {
        let logins = pack.detect.as_ref().map(|detect| detect.auth.as_slice()).unwrap_or_default();
        let mut by_login = Vec::new();
        for (auth, login) in auth.into_iter().flat_map(|auth| logins.iter().map(move |l| (auth, l)))
        {
            let client = HttpClient::new(tls, Some(credentials(pack, auth, login)))?;
            by_login.push((login.clone(), client));
        }
        Ok(Self { anonymous: HttpClient::new(tls, None)?, by_login: Arc::new(by_login) })
    }

    /// The client for members of a release. Before the release is known nobody logs in; a token that needs no login goes
    /// along all the same, for some products tell nothing without it.
    pub fn for_release(&self, release: Option<&Release>) -> &HttpClient {
        let fits = |login: &Login| match release {
            Some(release) => login.releases.contains(release),
            None => login.ask.is_none(),
        };
        let chosen = self.by_login.iter().find(|(login, _)| fits(login));
        chosen.map_or(&self.anonymous, |(_, client)| client)
    }
}

/// Turns a pack's login into the client's: the user, the password and the address are filled in at the moment of use.
fn credentials(pack: &Pack, auth: &AuthSpec, login: &Login) -> Credentials {
    let AuthSpec { user, password } = auth;
    let later = json!({
        "user": "{{ user }}", "password": "{{ password }}",
        "origin": "{{ origin }}", "endpoint": "{{ origin }}",
    });
    let context = template_value(&later);
    let fill =
        |template: &str| pack.render(template, &context).unwrap_or_else(|_| template.to_owned());
    let request = match &login.ask {
        Some(CallTemplate::Http { method, url, body, form, expect_status: _ }) => {
            Some(LoginRequest {
                method: method.clone(),
                url: fill(url),
                body: body.as_deref().map(fill),
                form: *form,
                token_pointer: login.token.clone(),
                header: login.header.clone(),
            })
        }
        Some(
            CallTemplate::Grpc { .. }
            | CallTemplate::Command { .. }
            | CallTemplate::File { .. }
            | CallTemplate::Native { .. },
        )
        | None => None,
    };
    Credentials {
        user: user.clone(),
        password: password.clone(),
        login: request,
        token_header: login.ask.is_none().then(|| login.header.clone()),
        basic_for: login.basic_for.clone(),
    }
}
