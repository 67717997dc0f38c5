//! Proves to a host who we are: by the agent, by key files, by certificates over either.
//!
//! Invariant: a private key is read into memory to sign with, and is never written, sent or shown.

use super::{config::Target, connect::Guard};
use russh::{
    client::{AuthResult, Handle},
    keys::{
        Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey,
        agent::{AgentIdentity, client::AgentClient},
        load_openssh_certificate, load_public_key, load_secret_key,
    },
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::net::UnixStream;

/// Key files, each read once.
#[derive(Default)]
pub(super) struct Keys {
    files: Mutex<HashMap<PathBuf, KeyFile>>,
}

/// What a key file holds.
#[derive(Clone)]
enum KeyFile {
    /// It is not there.
    Missing,
    /// A key that can sign.
    Whole(Arc<PrivateKey>),
    /// Only an agent can sign for it: it is encrypted, or only its public half is there.
    Public(PublicKey),
    /// It cannot be used, and why.
    Useless(String),
}

impl KeyFile {
    fn public(&self) -> Option<&PublicKey> {
        match self {
            Self::Whole(key) => Some(key.public_key()),
            Self::Public(key) => Some(key),
            Self::Missing | Self::Useless(_) => None,
        }
    }
}

impl Keys {
    fn file(&self, path: &Path) -> KeyFile {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(path.to_owned()).or_insert_with(|| read(path)).clone()
    }
}

fn read(path: &Path) -> KeyFile {
    use russh::keys::Error;
    let public = || load_public_key(crate::beside(path, ".pub")).ok();
    match load_secret_key(path, None) {
        Ok(key) => KeyFile::Whole(Arc::new(key)),
        Err(Error::KeyIsEncrypted) => match public() {
            Some(key) => KeyFile::Public(key),
            None => KeyFile::Useless(format!(
                "{} is encrypted: add it to an agent with `ssh-add {}`",
                path.display(),
                path.display()
            )),
        },
        Err(Error::IO(cause)) if cause.kind() == std::io::ErrorKind::NotFound => {
            // `IdentityFile key.pub` chooses one key of an agent, too.
            public()
                .or_else(|| load_public_key(path).ok())
                .map_or(KeyFile::Missing, KeyFile::Public)
        }
        Err(Error::IO(cause)) => {
            let because = crate::local::because(&cause);
            KeyFile::Useless(format!("{} cannot be read: {because}", path.display()))
        }
        Err(error) => match load_public_key(path) {
            Ok(key) => KeyFile::Public(key),
            Err(_) => KeyFile::Useless(format!("{} is no private key: {error}", path.display())),
        },
    }
}

/// One login.
pub(super) struct Login<'a> {
    handle: &'a mut Handle<Guard>,
    target: &'a Target,
    keys: &'a Keys,
    tried: Vec<String>,
    useless: Vec<String>,
    accepted: Option<String>,
    rsa: Option<Option<HashAlg>>,
}

/// A try: whether we are in, or why nothing more can be tried.
type Tried = Result<bool, String>;

impl<'a> Login<'a> {
    pub(super) fn new(handle: &'a mut Handle<Guard>, target: &'a Target, keys: &'a Keys) -> Self {
        Self {
            handle,
            target,
            keys,
            tried: Vec::new(),
            useless: Vec::new(),
            accepted: None,
            rsa: None,
        }
    }

    /// Tries everything that the configuration offers, in OpenSSH's order: the agent's keys that are named by files, the
    /// agent's others, then files. Gives a clause for people when nothing was accepted.
    pub(super) async fn run(mut self) -> Result<(), String> {
        let files: Vec<(PathBuf, KeyFile)> = self
            .target
            .identities
            .iter()
            .map(|path| (path.clone(), self.keys.file(path)))
            .collect();
        let certificates = self.certificates();
        if self.by_agent(&files, &certificates).await?
            || self.by_files(&files, &certificates).await?
        {
            return Ok(());
        }
        for (_, file) in &files {
            if let KeyFile::Useless(because) = file {
                self.useless.push(because.clone());
            }
        }
        Err(self.refused())
    }

    fn refused(&self) -> String {
        let user = &self.target.user;
        let mut text = match self.tried.as_slice() {
            [] => format!("there is no key to log in with as `{user}`"),
            tried => format!("it refuses the user `{user}` with {}", tried.join(", ")),
        };
        if let Some(accepted) = &self.accepted {
            text.push_str(&format!(" (it accepts: {accepted})"));
        }
        for because in &self.useless {
            text.push_str("; ");
            text.push_str(because);
        }
        if self.target.agent.is_none() && self.tried.is_empty() {
            text.push_str("; no agent is at hand (SSH_AUTH_SOCK is not set)");
        }
        text
    }

    /// Certificates that are named, or that lie beside the key files.
    fn certificates(&self) -> Vec<Certificate> {
        let beside = self.target.identities.iter().map(|path| crate::beside(path, "-cert.pub"));
        let all = beside.chain(self.target.certificates.iter().cloned());
        all.filter_map(|path| load_openssh_certificate(path).ok()).collect()
    }

    async fn by_agent(
        &mut self,
        files: &[(PathBuf, KeyFile)],
        certificates: &[Certificate],
    ) -> Tried {
        let Some(socket) = &self.target.agent else { return Ok(false) };
        let mut agent = match AgentClient::connect_uds(socket).await {
            Ok(agent) => agent,
            Err(error) => {
                self.useless
                    .push(format!("the agent at {} does not answer: {error}", socket.display()));
                return Ok(false);
            }
        };
        let held = match agent.request_identities().await {
            Ok(held) => held,
            Err(error) => {
                self.useless
                    .push(format!("the agent at {} lists no keys: {error}", socket.display()));
                return Ok(false);
            }
        };
        let named = |identity: &AgentIdentity| {
            let public = identity.public_key();
            files.iter().position(|(_, file)| {
                file.public().is_some_and(|own| own.key_data() == public.key_data())
            })
        };
        let mut order: Vec<(usize, &AgentIdentity)> = held
            .iter()
            .map(|identity| (named(identity).unwrap_or(usize::MAX), identity))
            .filter(|(place, _)| !self.target.identities_only || *place != usize::MAX)
            .collect();
        order.sort_by_key(|(place, _)| *place);
        for (_, identity) in order {
            if self.by_identity(identity, certificates, &mut agent).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn by_identity(
        &mut self,
        identity: &AgentIdentity,
        certificates: &[Certificate],
        agent: &mut AgentClient<UnixStream>,
    ) -> Tried {
        let user = self.target.user.clone();
        let name = named(identity.comment(), &identity.public_key());
        let hash = self.hash(&identity.public_key().algorithm()).await?;
        let public = match identity {
            AgentIdentity::Certificate { certificate, .. } => {
                let handle = &mut *self.handle;
                let tried = handle
                    .authenticate_certificate_with(user, certificate.clone(), hash, agent)
                    .await;
                return self.judged(format!("the agent's certificate {name}"), tried);
            }
            AgentIdentity::PublicKey { key, .. } => key,
        };
        for certificate in certificates.iter().filter(|own| own.public_key() == public.key_data()) {
            let handle = &mut *self.handle;
            let tried = handle
                .authenticate_certificate_with(user.clone(), certificate.clone(), hash, agent)
                .await;
            if self.judged(format!("the certificate of the agent's key {name}"), tried)? {
                return Ok(true);
            }
        }
        let handle = &mut *self.handle;
        let tried = handle.authenticate_publickey_with(user, public.clone(), hash, agent).await;
        self.judged(format!("the agent's key {name}"), tried)
    }

    async fn by_files(
        &mut self,
        files: &[(PathBuf, KeyFile)],
        certificates: &[Certificate],
    ) -> Tried {
        for (path, file) in files {
            let KeyFile::Whole(key) = file else { continue };
            let user = self.target.user.clone();
            for certificate in
                certificates.iter().filter(|own| own.public_key() == key.public_key().key_data())
            {
                let handle = &mut *self.handle;
                let tried = handle
                    .authenticate_openssh_cert(user.clone(), key.clone(), certificate.clone())
                    .await;
                if self.judged(format!("the certificate of {}", path.display()), tried)? {
                    return Ok(true);
                }
            }
            let hash = self.hash(&key.algorithm()).await?;
            let signing = PrivateKeyWithHashAlg::new(key.clone(), hash);
            let tried = self.handle.authenticate_publickey(user, signing).await;
            if self.judged(path.display().to_string(), tried)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The hash to sign with: only RSA has a choice, and the host is asked for it once.
    async fn hash(&mut self, kind: &Algorithm) -> Result<Option<HashAlg>, String> {
        if !kind.clone().is_rsa() {
            return Ok(None);
        }
        if let Some(known) = self.rsa {
            return Ok(known);
        }
        let best = self.handle.best_supported_rsa_hash().await;
        // A host that does not say takes SHA-2 all the same since 2016; SHA-1 is refused by today's.
        let best = best.map_err(|error| error.to_string())?.unwrap_or(Some(HashAlg::Sha512));
        self.rsa = Some(best);
        Ok(best)
    }

    fn judged<E: std::fmt::Display>(
        &mut self,
        with: String,
        tried: Result<AuthResult, E>,
    ) -> Tried {
        match tried {
            Ok(AuthResult::Success) => return Ok(true),
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                let methods: Vec<String> = remaining_methods
                    .iter()
                    .map(|method| <&'static str>::from(method).to_owned())
                    .collect();
                self.accepted = Some(methods.join(", ")).filter(|text| !text.is_empty());
                self.tried.push(if partial_success {
                    format!("{with} (accepted, but it asks for a second proof)")
                } else {
                    with
                });
            }
            Err(error) => self.tried.push(format!("{with} ({error})")),
        }
        if self.handle.is_closed() {
            return Err(format!(
                "{}, then hung up: it may allow fewer tries (MaxAuthTries); name one key with IdentityFile and IdentitiesOnly",
                self.refused()
            ));
        }
        Ok(false)
    }
}

fn named(comment: &str, key: &PublicKey) -> String {
    match comment {
        "" => key.fingerprint(HashAlg::Sha256).to_string(),
        comment => comment.to_owned(),
    }
}
