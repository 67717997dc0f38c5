//! Connections to hosts: made when first needed, one a host, used by everybody, made again when they have died.

use super::{
    auth::{Keys, Login},
    config::{Config, ConfigError, Target},
    known::{KnownHosts, Refusal},
    spare::{Busy, Spares},
};
use futures::{FutureExt, future::BoxFuture};
use quorate_model::{HostKeys, SshSpec};
use russh::{
    Preferred, cipher,
    client::{self, Handle, Handler},
    keys::{Algorithm, HashAlg, PublicKeyOrCertificate},
};
use std::{
    borrow::Cow,
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{Mutex as Lock, Semaphore},
    time::timeout,
};

/// Sixty-four connections are made at the same time: two cores make some hundred a second, and a jump host or a firewall
/// that counts new connections does not take more for an attack.
const HANDSHAKES_MAX: usize = 64;
/// Eight commands at once on one host: OpenSSH allows ten sessions a connection (MaxSessions), two are left for a person.
pub(super) const SESSIONS_MAX: usize = 8;
/// Fifteen seconds of silence, three times: a host that froze is given up within a minute, also where no command waits.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// A connection that stands.
pub(super) struct Session {
    pub(super) handle: Handle<Guard>,
    pub(super) target: Target,
    pub(super) slots: Arc<Semaphore>,
    pub(super) spares: Spares,
    pub(super) busy: Busy,
    /// The connection that this one goes through; it must not end earlier.
    _way: Option<Arc<Self>>,
}

impl Session {
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }
}

/// Every connection of this program.
pub(super) struct Connections {
    config: Config,
    host_keys: HostKeys,
    known: KnownHosts,
    keys: Keys,
    places: Mutex<HashMap<String, Arc<Place>>>,
    handshakes: Semaphore,
    busy: Busy,
}

/// The place of one host's connection.
#[derive(Default)]
struct Place {
    session: Lock<Option<Arc<Session>>>,
    /// When the last attempt ended badly, and why: who waited for it need not repeat it.
    failed: Mutex<Option<(Instant, String)>>,
}

impl Connections {
    pub(super) fn new(spec: &SshSpec) -> Result<Self, ConfigError> {
        Ok(Self {
            config: Config::read(spec)?,
            host_keys: spec.host_keys,
            known: KnownHosts::default(),
            keys: Keys::default(),
            places: Mutex::default(),
            handshakes: Semaphore::new(HANDSHAKES_MAX),
            busy: Busy::default(),
        })
    }

    /// What a name stands for.
    pub(super) fn target(&self, name: &str) -> Target {
        self.config.target(name)
    }

    /// The connection to a host, made when there is none. The error is a sentence.
    pub(super) async fn session(&self, name: &str) -> Result<Arc<Session>, String> {
        self.leads_somewhere(name, &mut Vec::new())?;
        self.through(name.to_owned(), None).await
    }

    /// Jump hosts that lead back to where they began would wait for each other for ever.
    fn leads_somewhere(&self, name: &str, on_the_way: &mut Vec<String>) -> Result<(), String> {
        if on_the_way.iter().any(|own| own == name) {
            let circle = on_the_way.join(" by way of ");
            return Err(format!(
                "{circle} cannot be reached: that leads to {name} again (ProxyJump)"
            ));
        }
        on_the_way.push(name.to_owned());
        // Of several jump hosts the first is reached as it says itself; the others by the one before.
        if let Some(first) = self.config.target(name).jumps.first() {
            self.leads_somewhere(first, on_the_way)?;
        }
        Ok(())
    }

    /// Forgets a connection that does not answer any more.
    pub(super) async fn forget(&self, dead: &Arc<Session>) {
        let places: Vec<Arc<Place>> = {
            let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.values().cloned().collect()
        };
        for place in places {
            // Who holds the place is making a new one already.
            if let Ok(mut held) = place.session.try_lock()
                && held.as_ref().is_some_and(|own| Arc::ptr_eq(own, dead))
            {
                *held = None;
            }
        }
    }

    /// Lets go of the connection to a host; the next question makes another.
    pub(super) async fn leave(&self, name: &str) {
        *self.place(name).session.lock().await = None;
    }

    fn through(
        &self,
        name: String,
        way: Option<Arc<Session>>,
    ) -> BoxFuture<'_, Result<Arc<Session>, String>> {
        async move {
            let came = Instant::now();
            let key = match &way {
                Some(way) => format!("{}>{name}", way.target.name),
                None => name.clone(),
            };
            let place = self.place(&key);
            let mut held = place.session.lock().await;
            if let Some(session) = held.as_ref().filter(|session| !session.is_closed()) {
                return Ok(session.clone());
            }
            let failed = || place.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, because)) = failed().as_ref().filter(|(at, _)| *at > came) {
                return Err(because.clone());
            }
            *held = None;
            match self.made(&name, way).await {
                Ok(session) => {
                    let session = Arc::new(session);
                    *held = Some(session.clone());
                    Ok(session)
                }
                Err(because) => {
                    *failed() = Some((Instant::now(), because.clone()));
                    Err(because)
                }
            }
        }
        .boxed()
    }

    fn place(&self, key: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(key.to_owned()).or_default().clone()
    }

    async fn made(&self, name: &str, way: Option<Arc<Session>>) -> Result<Session, String> {
        let mut target = self.config.target(name);
        let jumps = std::mem::take(&mut target.jumps);
        let mut way = way;
        if way.is_none() {
            for jump in jumps {
                let next = self.through(jump.clone(), way.take()).await;
                way = Some(next.map_err(|because| {
                    format!("{name} cannot be reached by way of {jump}: {because}")
                })?);
            }
        }
        let shown = shown(&target);
        let limit = target.connect_limit;
        let _turn = self.handshakes.acquire().await;
        match timeout(limit, self.stands(target, way)).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(because)) => Err(format!("{shown} cannot be reached: {because}")),
            Err(_) => Err(format!(
                "{shown} cannot be reached: it did not take the connection and log in within {limit:?}"
            )),
        }
    }

    async fn stands(&self, target: Target, way: Option<Arc<Session>>) -> Result<Session, String> {
        let refusal = Arc::new(Mutex::new(None));
        let guard = Guard {
            target: target.clone(),
            verdict: self.verdicts(&target),
            refusal: refusal.clone(),
        };
        let config = Arc::new(self.library_config(&target));
        let connected = match &way {
            None => {
                let socket = TcpStream::connect((target.host.as_str(), target.port)).await;
                let socket = socket.map_err(|cause| tcp_sentence(&cause))?;
                // Commands are small and wait for each other: packets must not be collected.
                let _ = socket.set_nodelay(true);
                client::connect_stream(config, socket, guard).await
            }
            Some(way) => {
                let open = way.handle.channel_open_direct_tcpip(
                    target.host.clone(),
                    u32::from(target.port),
                    "127.0.0.1",
                    0,
                );
                let channel = open.await.map_err(|error| {
                    format!("{} does not lead there: {}", way.target.name, sentence(&error))
                })?;
                client::connect_stream(config, channel.into_stream(), guard).await
            }
        };
        let refused = || refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut handle = connected.map_err(|error| match refused() {
            Some(Refusal(because)) => because,
            None => sentence(&error),
        })?;
        Login::new(&mut handle, &target, &self.keys).run().await?;
        let slots = Arc::new(Semaphore::new(SESSIONS_MAX));
        let (spares, busy) = (Spares::default(), self.busy.clone());
        Ok(Session { handle, target, slots, spares, busy, _way: way })
    }

    /// Judges a shown key at once: the library asks in the middle of the handshake.
    fn verdicts(&self, target: &Target) -> Verdicts {
        let known = self.known.clone();
        let (target, host_keys) = (target.clone(), self.host_keys);
        Box::new(move |shown| known.judge(&target, shown, host_keys))
    }

    fn library_config(&self, target: &Target) -> client::Config {
        client::Config {
            preferred: self.preferred(target),
            keepalive_interval: Some(target.alive_every.unwrap_or(ALIVE_EVERY)),
            nodelay: true,
            ..client::Config::default()
        }
    }

    /// Of the kinds of host keys, those come first that are known: a host must not get by with a key that nobody knows.
    fn preferred(&self, target: &Target) -> Preferred {
        let known = self.known.kinds(target);
        let mut preferred = Preferred::default();
        let same = |one: &Algorithm, other: &Algorithm| {
            one == other || (one.clone().is_rsa() && other.clone().is_rsa())
        };
        // SHA-1 signatures prove nothing any more.
        let sha1 = Algorithm::Rsa { hash: None };
        let mut kinds: Vec<Algorithm> =
            preferred.key.iter().filter(|kind| **kind != sha1).cloned().collect();
        kinds.sort_by_key(|kind| !known.iter().any(|own| same(own, kind)));
        if self.known.has_authority(target) {
            preferred.host_key_certificates = Cow::Owned(kinds.clone());
        }
        preferred.key = Cow::Owned(kinds);
        if has_aes() {
            let mut ciphers = preferred.cipher.to_vec();
            ciphers.sort_by_key(|cipher| *cipher != cipher::AES_256_GCM);
            preferred.cipher = Cow::Owned(ciphers);
        }
        preferred
    }
}

/// Whether the processor has AES in itself: then a release is encrypted several times faster by it than by the default, here and
/// on hosts of the same kind. Both are equally good at keeping a secret.
fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

type Verdicts = Box<dyn Fn(&PublicKeyOrCertificate) -> Result<(), Refusal> + Send + Sync>;

/// Stands at a connection while it is made.
pub(super) struct Guard {
    target: Target,
    verdict: Verdicts,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

impl Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        match (self.verdict)(shown) {
            Ok(()) => Ok(true),
            Err(refusal) => {
                if let PublicKeyOrCertificate::PublicKey { key, .. } = shown {
                    let print = key.fingerprint(HashAlg::Sha256);
                    tracing::warn!(host = %self.target.name, %print, "host key refused");
                }
                *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
                Ok(false)
            }
        }
    }
}

/// A host for a sentence: its name, and where that leads when it says something else.
pub(super) fn shown(target: &Target) -> String {
    let address = match target.port {
        22 => target.host.clone(),
        port => format!("{}:{port}", target.host),
    };
    if target.name == address { address } else { format!("{} ({address})", target.name) }
}

fn tcp_sentence(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nobody listens there: is sshd running, is the port right?".to_owned()
        }
        io::ErrorKind::TimedOut => "it does not answer at all".to_owned(),
        _ if cause.raw_os_error().is_none() => format!("its name has no address ({cause})"),
        _ => crate::local::because(cause),
    }
}

/// What an error of the library means.
pub(super) fn sentence(error: &russh::Error) -> String {
    use russh::{ChannelOpenFailure, Error};
    match error {
        Error::HUP | Error::Disconnect | Error::SendError | Error::RecvError => {
            "it hung up".to_owned()
        }
        Error::IO(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => "it hung up".to_owned(),
        Error::IO(cause) => crate::local::because(cause),
        Error::KeepaliveTimeout | Error::InactivityTimeout | Error::ConnectionTimeout => {
            "it does not answer any more".to_owned()
        }
        Error::NoCommonAlgo { kind, theirs, .. } => format!(
            "it offers only {kind:?} algorithms that are not safe any more ({})",
            theirs.join(", ")
        ),
        Error::Version => "what listens there does not speak SSH 2".to_owned(),
        Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
            "its sshd does not allow it (AllowTcpForwarding, PermitOpen or MaxSessions)".to_owned()
        }
        Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed) => {
            "nobody listens there".to_owned()
        }
        other => other.to_string(),
    }
}
