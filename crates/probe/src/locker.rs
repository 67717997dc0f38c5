//! One of the clients that take the probe's lock in turn: a session, take, look, give back, and again.
//!
//! It holds the lock for a moment only, and looks before the end whether it still has it. A request whose answer was lost is
//! settled by a look, as the number is that tells holders apart.

use crate::{
    calls::{Tried, Way, Words},
    endpoints::Reply,
    shared::Shared,
};
use quorate_packs::LockWay;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// Clients that want the lock. Two can break it as well as ten.
pub(crate) const CLIENTS: usize = 2;

/// How long the lock is held: some round trips, so that the other client finds it taken now and then.
const HOLD: Duration = Duration::from_millis(20);

/// Before the next try, so that the two take about twenty turns a second, a fifth of what the writes are.
const TURN: Duration = Duration::from_millis(50);

/// Sessions are renewed after this part of their life, so that two renewals may fail.
const RENEW_PART: u32 = 3;

/// One client's session.
struct Session {
    id: String,
    /// When the last renewal that succeeded was sent.
    renewed: Duration,
    /// A request to give the lock back is on its way and was not answered: it may free the lock long after it was taken again.
    doubted: bool,
}

struct Locker<'s> {
    shared: &'s Shared,
    client: usize,
    key: String,
    /// The endpoint of the last try.
    last: Option<usize>,
}

/// Locks until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, client: usize, stop: watch::Receiver<bool>) {
    let key = format!("{}lock", shared.prefix);
    let mut locker = Locker { shared: &shared, client, key, last: None };
    let mut session = None;
    while !*stop.borrow() {
        let way = shared.way();
        let Some(lock) = way.lock() else { return };
        locker.turn(&way, lock, &mut session).await;
        sleep(TURN).await;
    }
    let way = shared.way();
    if let (Some(lock), Some(session)) = (way.lock(), session) {
        locker.shared.book().locks.let_go(client);
        // One that cannot be ended ends by itself, as it is not renewed.
        let _ = locker.say(&way, &lock.close, &session.id).await;
    }
}

impl Locker<'_> {
    async fn turn(&mut self, way: &Way, lock: &LockWay, session: &mut Option<Session>) {
        let ttl = Duration::from_secs(lock.ttl_secs.into());
        self.keep_alive(way, lock, ttl, session).await;
        if !self.settled(way, lock, session).await {
            return;
        }
        let Some(own) = session else { return };
        let believes_until = own.renewed + ttl;
        let sent = match self.say(way, &lock.take, &own.id).await {
            Tried::Done(answer) => way.evaluate(&lock.taken, &answer) == Ok(Value::Bool(true)),
            Tried::Not(_) => return,
            // Maybe it did: the look tells.
            Tried::Unclear(_) => true,
        };
        if !sent {
            return;
        }
        // Whose lock it was is asked after it was taken: a number is needed, too.
        let Some((holder, number)) = self.holder(way, lock).await else {
            self.give_back(way, lock, own).await;
            return;
        };
        if holder != own.id {
            return;
        }
        let now = self.shared.now();
        if now < believes_until {
            self.shared.book().locks.taken(self.client, &own.id, number, now, believes_until);
            sleep(HOLD).await;
            match self.holder(way, lock).await {
                // Nobody else has it: the session ended before its time, as it does when its agent is taken for dead.
                Some((holder, _)) if holder.is_empty() => {
                    self.shared.book().locks.session_lost(self.client);
                    *session = None;
                    return;
                }
                Some((holder, _)) if holder != own.id => {
                    self.shared.book().locks.contested(self.client, self.shared.now());
                }
                _ => {}
            }
        }
        self.give_back(way, lock, own).await;
    }

    /// Ends a session that is doubted, after its lock was given back for certain: what is still on its way finds no such session.
    /// False while there is none to go on with.
    async fn settled(&mut self, way: &Way, lock: &LockWay, session: &mut Option<Session>) -> bool {
        match session {
            Some(own) if own.doubted => {
                if matches!(self.say(way, &lock.give_back, &own.id).await, Tried::Done(_)) {
                    // One that cannot be ended ends by itself, as it is not renewed.
                    let _ = self.say(way, &lock.close, &own.id).await;
                    *session = None;
                }
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    /// Opens a session, or renews it when its time has come. One that has ended is told and forgotten.
    async fn keep_alive(
        &mut self,
        way: &Way,
        lock: &LockWay,
        ttl: Duration,
        session: &mut Option<Session>,
    ) {
        let now = self.shared.now();
        let Some(own) = session else {
            if let Tried::Done(answer) = self.say(way, &lock.open, "").await
                && let Ok(Value::String(id)) = way.evaluate(&lock.session, &answer)
            {
                *session = Some(Session { id, renewed: now, doubted: false });
            }
            return;
        };
        if now < own.renewed + ttl / RENEW_PART {
            return;
        }
        match self.say(way, &lock.renew, &own.id).await {
            Tried::Done(_) => own.renewed = now,
            Tried::Not(because) if because.starts_with("status 404") => {
                self.shared.book().locks.session_lost(self.client);
                *session = None;
            }
            Tried::Not(_) | Tried::Unclear(_) if self.shared.now() > own.renewed + ttl => {
                self.shared.book().locks.session_lost(self.client);
                *session = None;
            }
            Tried::Not(_) | Tried::Unclear(_) => {}
        }
    }

    /// Gives the lock back; the client stops to believe in it before it says so. Without an answer nobody knows when it happens, so the
    /// session takes no lock again.
    async fn give_back(&mut self, way: &Way, lock: &LockWay, session: &mut Session) {
        self.shared.book().locks.let_go(self.client);
        session.doubted = !matches!(
            self.say(way, &lock.give_back, &session.id).await,
            Tried::Done(_) | Tried::Not(_)
        );
    }

    async fn holder(&mut self, way: &Way, lock: &LockWay) -> Option<(String, u64)> {
        // Another endpoint when the first is silent, as good clients do.
        for _ in 0..2 {
            if let Tried::Done(answer) = self.say(way, &lock.look, "").await {
                let holder = way.evaluate(&lock.holder, &answer).ok()?;
                return Some((holder.get(0)?.as_str()?.to_owned(), holder.get(1)?.as_u64()?));
            }
        }
        None
    }

    async fn say(
        &mut self,
        way: &Way,
        call: &quorate_packs::CallTemplate,
        session: &str,
    ) -> Tried<quorate_transport::http::HttpResponse> {
        let Some((index, url)) = self.shared.choose(self.last).await else {
            return Tried::Not("there is no endpoint".to_owned());
        };
        self.last = Some(index);
        let words = Words { endpoint: &url, key: &self.key, session, ..Words::default() };
        let (limit, sent) = (self.shared.options.try_limit, Instant::now());
        let tried = way.ask(call, words, limit, false).await;
        // A refusal of this request says nothing of the endpoint.
        if let Tried::Unclear(because) = &tried {
            self.shared.judge(index, Reply::of(false, sent.elapsed(), limit));
            self.shared.book().last_complaint = Some(because.clone());
        }
        tried
    }
}
