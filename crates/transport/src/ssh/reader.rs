//! The small shell on a host that waits for a command, with the rights that the command is to run with.

use super::{
    connect::{Session, sentence},
    told::Told,
};
use crate::secret::SecretText;
use bytes::Bytes;
use futures::FutureExt;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client::Msg};
use std::sync::{Arc, OnceLock};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

/// As whom a command runs.
#[derive(Clone)]
pub(super) enum Rights {
    /// As who logged in.
    Own,
    /// As root; sudo must not ask.
    Sudo,
    /// As root; sudo may ask for this.
    SudoAsks(Arc<SecretText>),
}

/// A word that no shell and no command prints by chance; another one in each run of this program.
pub(super) fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| format!("quorate-{:016x}", rand::random::<u64>()))
}

/// The shell's own text. It skips lines before the first mark: a password that sudo did not ask for.
fn text(rights: &Rights) -> String {
    let mark = mark();
    let ready = match rights {
        Rights::SudoAsks(_) => format!("echo {mark}-ready; "),
        Rights::Own | Rights::Sudo => String::new(),
    };
    let sudo = match rights {
        Rights::Own => String::new(),
        Rights::Sudo => "sudo -n -- ".to_owned(),
        Rights::SudoAsks(_) => format!("sudo -S -p {mark}-password -- "),
    };
    // No word here may need a quote inside the quotes, so that every kind of login shell passes it on as it is.
    format!(
        "exec {sudo}/bin/sh -c '{ready}n=$(printf \"\\n.\"); n=${{n%.}}; s=; q=; \
         until [ \"$q\" = {mark}-begin ]; do IFS= read -r q || exit 125; done; \
         while IFS= read -r q; do [ \"$q\" = {mark}-end ] && break; s=$s$q$n; done; \
         echo {mark}-here $$; echo {mark}-here >&2; eval \"$s\"'"
    )
}

/// A session of a host in which a shell waits for a command, or is about to.
pub(super) struct Reader {
    pub(super) read: ChannelReadHalf,
    pub(super) write: ChannelWriteHalf<Msg>,
    /// What the login shell has said so far.
    pub(super) told: Told,
    /// Its share of the sessions that a host allows.
    _turn: OwnedSemaphorePermit,
}

/// Why nobody waits for a command. Nothing was handed over.
pub(super) enum NoReader {
    /// The connection is dead.
    Dead(String),
    /// The host refuses it.
    Refused(String),
    /// It ended, or was ended, and said this.
    Ended(Told),
    /// Not within the time.
    Late(Told),
}

impl Reader {
    /// Opens a session and, where sudo may ask for a password, waits until it has been taken.
    pub(super) async fn open(
        session: &Session,
        rights: &Rights,
        deadline: Instant,
    ) -> Result<Self, NoReader> {
        let host = &session.target.name;
        let began = Instant::now();
        let opened = timeout_at(deadline, async {
            let turn = session.slots.clone().acquire_owned().await.map_err(|_| None)?;
            session.handle.channel_open_session().await.map(|channel| (turn, channel)).map_err(Some)
        });
        let gone =
            |because: &str| NoReader::Dead(format!("the connection to {host} is gone: {because}"));
        let (turn, channel) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(Some(russh::Error::ChannelOpenFailure(why)))) => {
                return Err(NoReader::Refused(format!(
                    "{host} opens no further session ({why:?}): MaxSessions of its sshd may be too small"
                )));
            }
            Ok(Err(Some(error))) => return Err(gone(&sentence(&error))),
            Ok(Err(None)) => return Err(gone("it was given up")),
            Err(_) => {
                let waited = began.elapsed();
                return Err(NoReader::Dead(format!(
                    "{host} opened no session within {waited:.1?}"
                )));
            }
        };
        let (read, write) = channel.split();
        if let Err(error) = write.exec(false, text(rights)).await {
            return Err(gone(&sentence(&error)));
        }
        let mut own = Self { read, write, told: Told::default(), _turn: turn };
        match timeout_at(deadline, own.let_in(rights)).await {
            Ok(true) => Ok(own),
            Ok(false) => Err(NoReader::Ended(own.told)),
            Err(_) => Err(NoReader::Late(own.told)),
        }
    }

    /// Answers sudo's question, if there is one. False when nobody will read a command.
    async fn let_in(&mut self, rights: &Rights) -> bool {
        let Rights::SudoAsks(password) = rights else { return true };
        let mut sent = false;
        while !self.told.ready {
            let Some(message) = self.read.wait().await else { return false };
            if !take(&mut self.told, message) {
                return false;
            }
            // sudo would wait for a second password until the time is over.
            if self.told.asked_again() {
                return false;
            }
            if self.told.asked == 1 && !std::mem::replace(&mut sent, true) {
                let line = Bytes::from(format!("{}\n", password.expose()));
                if self.write.data_bytes(line).await.is_err() {
                    return false;
                }
            }
        }
        true
    }

    /// Whether it still waits, as far as can be known without asking.
    pub(super) fn waits(&mut self) -> bool {
        while let Some(message) = self.read.wait().now_or_never() {
            let stands = message.is_some_and(|message| take(&mut self.told, message));
            if !stands || self.told.status.is_some() || self.told.signalled {
                return false;
            }
        }
        true
    }

    /// Ends the session; the shell ends with its input.
    pub(super) async fn close(self) {
        let _ = self.write.close().await;
    }
}

/// Takes what came. False when nothing more can come.
pub(super) fn take(told: &mut Told, message: ChannelMsg) -> bool {
    match message {
        ChannelMsg::Data { data } => told.out(&data),
        ChannelMsg::ExtendedData { data, .. } => told.err(&data),
        ChannelMsg::ExitStatus { exit_status } => {
            told.status = Some(i32::try_from(exit_status).unwrap_or(i32::MAX));
        }
        ChannelMsg::ExitSignal { .. } => told.signalled = true,
        ChannelMsg::Close => return false,
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shells_text_holds_no_secret_and_only_the_outer_quotes() {
        let asks = Rights::SudoAsks(Arc::new(SecretText::new("hunter2")));
        for rights in [Rights::Own, Rights::Sudo, asks] {
            let sent = text(&rights);
            assert!(!sent.contains("hunter2"), "{sent}");
            assert_eq!(sent.matches('\'').count(), 2, "only the outer quotes: {sent}");
        }
    }
}
