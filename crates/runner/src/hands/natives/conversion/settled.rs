//! Waits until nobody writes through the v2 API any more, and all members have applied the same.
//!
//! Invariant: nothing is changed. What moves by itself, the end of a time to live, is no write.

use super::super::Asked;
use futures::future::join_all;
use quorate_transport::http::{HttpClient, HttpRequest};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

/// A client that writes at all writes within seconds; one that writes less often than this has to be stopped as an application.
const QUIET: Duration = Duration::from_secs(3);
/// Twice a second costs nothing, and loses at most half a second.
const EVERY: Duration = Duration::from_millis(500);
/// Before the step's own limit, so that what was seen is told instead of that limit.
const MARGIN: Duration = Duration::from_secs(2);
/// Two small questions to a member that does little else.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// A member says here how far it has applied writes.
const INDEX: &str = "x-etcd-index";
/// What counts as a write, also one that was refused: who tries it will try again.
const COUNTERS: [&str; 12] = [
    "setsSuccess",
    "setsFail",
    "createSuccess",
    "createFail",
    "updateSuccess",
    "updateFail",
    "deleteSuccess",
    "deleteFail",
    "compareAndSwapSuccess",
    "compareAndSwapFail",
    "compareAndDeleteSuccess",
    "compareAndDeleteFail",
];

/// A member, and the way to it.
struct Member<'a> {
    name: &'a str,
    url: &'a str,
    http: &'a HttpClient,
    via: Option<PathBuf>,
}

/// What a member said at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    counters: BTreeMap<&'static str, u64>,
    /// How far it has applied writes; none where the v2 API is off, and nobody can write.
    index: Option<u64>,
}

/// Waits, and says how quiet it is.
pub(in crate::hands::natives) async fn settled(
    asked: Asked<'_>,
    limit: Duration,
) -> Result<String, String> {
    rest(&members(&asked).await?, limit.saturating_sub(MARGIN)).await
}

async fn rest(members: &[Member<'_>], limit: Duration) -> Result<String, String> {
    let began = Instant::now();
    let mut watch = Watch::default();
    loop {
        let looks = join_all(members.iter().map(Member::look)).await;
        let names = members.iter().map(|member| member.name);
        watch.note(began.elapsed(), names.zip(looks).collect());
        if let Some(said) = watch.settled(began.elapsed()) {
            return Ok(said);
        }
        if began.elapsed() + EVERY > limit {
            return Err(watch.because(began.elapsed(), limit));
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn members<'a>(asked: &Asked<'a>) -> Result<Vec<Member<'a>>, String> {
    let hands = asked.hands;
    let list = |name: &str| {
        let listed = asked.arg(name)?.split(',').map(str::trim).collect::<Vec<_>>();
        Ok::<_, String>(listed)
    };
    let (urls, names) = (list("endpoints")?, list("nodes")?);
    if urls.len() != names.len() {
        return Err(format!(
            "the pack gives {} endpoints for {} nodes to its action",
            urls.len(),
            names.len()
        ));
    }
    let mut members = Vec::new();
    for (name, url) in names.into_iter().zip(urls) {
        let nodes = &hands.parts.cluster.nodes;
        let node = nodes.iter().map(|node| &node.name).find(|node| node.as_str() == name);
        let node = node.ok_or_else(|| format!("there is no node {name}"))?;
        let via = hands.tunnel(node, url).await?;
        let release = hands.running(node);
        let http = hands.http(release.as_ref().or(asked.releases.first().copied()));
        members.push(Member { name, url, http, via });
    }
    Ok(members)
}

impl Member<'_> {
    async fn look(&self) -> Result<Look, String> {
        let url = format!("{}/v2/stats/store", self.url);
        let request = HttpRequest::get(url).via(self.via.clone());
        let answer = self.http.send(&request, ASK_LIMIT).await.into_result()?;
        if answer.status == 404 {
            return Ok(Look { counters: BTreeMap::new(), index: None });
        }
        let counters = answer.json().filter(|_| answer.ok()).and_then(|said| counters(&said));
        let counters = counters.ok_or_else(|| {
            format!("{} counts no writes at /v2/stats/store: status {}", self.name, answer.status)
        })?;
        let url = format!("{}/v2/keys/?quorum=false", self.url);
        let request = HttpRequest::get(url).via(self.via.clone()).wants(INDEX);
        let answer = self.http.send(&request, ASK_LIMIT).await.into_result()?;
        let index = answer.header.as_deref().and_then(|text| text.parse().ok());
        let index: u64 = index.ok_or_else(|| {
            format!("{} does not say how far it has applied: status {}", self.name, answer.status)
        })?;
        Ok(Look { counters, index: Some(index) })
    }
}

fn counters(said: &Value) -> Option<BTreeMap<&'static str, u64>> {
    COUNTERS.into_iter().map(|name| Some((name, said.get(name)?.as_u64()?))).collect()
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Watch {
    /// By the member's name.
    last: BTreeMap<String, Look>,
    /// Since when no counter has moved.
    quiet: Option<Duration>,
    /// Member and counter that moved last.
    mover: Option<(String, &'static str)>,
    /// How often that counter of that member has moved.
    moves: BTreeMap<(String, &'static str), u64>,
    /// Why the last look proves nothing.
    doubt: Option<String>,
}

impl Watch {
    /// Takes a look at all members.
    fn note(&mut self, at: Duration, looks: Vec<(&str, Result<Look, String>)>) {
        self.doubt = None;
        let mut moved = false;
        for (name, look) in looks {
            let look = match look {
                Ok(look) => look,
                Err(because) => {
                    self.doubt = Some(because);
                    continue;
                }
            };
            let last = self.last.insert(name.to_owned(), look.clone());
            for (counter, now) in look.counters {
                let before = last.as_ref().and_then(|last| last.counters.get(counter));
                let Some(before) = before.filter(|before| **before != now) else { continue };
                moved = true;
                let mover = (name.to_owned(), counter);
                // A member that was started again counts from the beginning.
                *self.moves.entry(mover.clone()).or_default() += now.saturating_sub(*before).max(1);
                self.mover = Some(mover);
            }
        }
        if self.doubt.is_some() {
            self.quiet = None;
            return;
        }
        if moved || self.quiet.is_none() {
            self.quiet = Some(at);
        }
        self.doubt = self.apart();
    }

    fn apart(&self) -> Option<String> {
        let told = || self.last.iter().filter_map(|(name, look)| Some((look.index?, name)));
        let ((least, behind), (most, ahead)) = (told().min()?, told().max()?);
        let text = || format!("{behind} has applied up to {least} and {ahead} up to {most}");
        (least != most).then(text)
    }

    /// How quiet it is, once it is.
    fn settled(&self, at: Duration) -> Option<String> {
        let quiet = at.saturating_sub(self.quiet?);
        if quiet < QUIET || self.doubt.is_some() {
            return None;
        }
        let (seconds, members) = (quiet.as_secs(), self.last.len());
        Some(match self.last.values().find_map(|look| look.index) {
            Some(index) => format!(
                "no write through the v2 API for {seconds} s on any of {members} members, all at index {index}"
            ),
            None => format!("the v2 API is off on all {members} members, so that nobody writes"),
        })
    }

    /// Why it did not settle in time.
    fn because(&self, at: Duration, limit: Duration) -> String {
        let within = limit.as_secs();
        let doubt = self.doubt.iter().map(|doubt| format!("; at the last look {doubt}"));
        let doubt: String = doubt.collect();
        let quiet = self.quiet.is_some_and(|since| at.saturating_sub(since) >= QUIET);
        match self.mover.as_ref().filter(|_| !quiet) {
            Some(mover) => {
                let times = match self.moves.get(mover) {
                    Some(1) | None => "once".to_owned(),
                    Some(times) => format!("{times} times"),
                };
                let (member, counter) = mover;
                format!(
                    "somebody still writes through the v2 API: `{counter}` of {member} moved last, {times} within {within} s{doubt}. It is none of the declared applications, which stand still. Nothing was touched: stop who writes, and begin again"
                )
            }
            None => format!(
                "the members did not come to rest within {within} s, though nobody is seen to write{doubt}. Nothing was touched"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(sets: u64, index: u64) -> Result<Look, String> {
        let counters = COUNTERS.iter().map(|name| (*name, u64::from(*name != "setsSuccess")));
        let mut counters: BTreeMap<_, _> = counters.collect();
        counters.insert("setsSuccess", sets);
        Ok(Look { counters, index: Some(index) })
    }

    type Seen = (u64, Result<Look, String>, Result<Look, String>);

    fn watched(seen: Vec<Seen>) -> (Watch, Duration) {
        let (mut watch, mut last) = (Watch::default(), Duration::ZERO);
        for (at, a, b) in seen {
            last = Duration::from_millis(at);
            watch.note(last, vec![("a", a), ("b", b)]);
        }
        (watch, last)
    }

    #[test]
    fn three_quiet_seconds_settle() {
        let quiet = |until: u64| {
            let looks = (0..=until / 500).map(|n| (n * 500, look(5, 9), look(6, 9)));
            let (watch, at) = watched(looks.collect());
            watch.settled(at)
        };
        assert_eq!(quiet(2500), None);
        assert!(quiet(3000).unwrap().contains("2 members, all at index 9"));
    }

    #[test]
    fn keys_that_end_by_themselves_move_the_index_and_no_counter() {
        let looks = (0..=6).map(|n| (n * 500, look(5, 9 + n), look(6, 9 + n)));
        let (watch, at) = watched(looks.collect());
        assert!(watch.settled(at).is_some());
    }

    #[test]
    fn a_write_begins_the_wait_anew() {
        let (watch, at) = watched(vec![
            (0, look(5, 9), look(5, 9)),
            (2900, look(6, 10), look(5, 10)),
            (3100, look(6, 10), look(5, 10)),
        ]);
        assert_eq!(watch.settled(at), None);
        assert!(watch.settled(Duration::from_millis(5900)).is_some());
        let said = watch.because(at, Duration::from_secs(58));
        assert!(said.contains("`setsSuccess` of a moved last, once within 58 s"), "{said}");
        assert!(said.contains("Nothing was touched"), "{said}");
    }

    #[test]
    fn members_that_differ_at_the_last_look_are_not_settled() {
        let (watch, at) =
            watched(vec![(0, look(5, 9), look(5, 9)), (4000, look(5, 10), look(5, 9))]);
        assert_eq!(watch.settled(at), None);
        assert!(watch.because(at, at).contains("b has applied up to 9 and a up to 10"));
        let (watch, at) =
            watched(vec![(0, look(5, 10), look(5, 9)), (4000, look(5, 10), look(5, 10))]);
        assert!(watch.settled(at).is_some(), "one look is forgiven");
    }

    #[test]
    fn a_member_that_was_not_heard_proves_nothing() {
        let lost = || Err("b: connection refused".to_owned());
        let (watch, at) = watched(vec![
            (0, look(5, 9), look(5, 9)),
            (2000, look(5, 9), lost()),
            (4000, look(5, 9), look(5, 9)),
        ]);
        assert_eq!(watch.settled(at), None);
        let (watch, at) = watched(vec![(0, look(5, 9), look(5, 9)), (4000, look(5, 9), lost())]);
        assert_eq!(watch.settled(at), None);
        assert!(watch.because(at, at).contains("connection refused"));
    }

    #[test]
    fn where_the_api_is_off_nobody_writes() {
        let off = || Ok(Look { counters: BTreeMap::new(), index: None });
        let (watch, at) = watched(vec![(0, off(), off()), (3000, off(), off())]);
        assert!(watch.settled(at).unwrap().contains("off on all 2 members"));
    }

    #[test]
    fn only_writes_are_read() {
        let mut said = serde_json::json!({"getsSuccess": 7, "expireCount": 3, "watchers": 0});
        assert_eq!(counters(&said), None);
        for name in COUNTERS {
            said[name] = 1.into();
        }
        let found = counters(&said).unwrap();
        assert_eq!(found.len(), COUNTERS.len());
        assert!(!found.contains_key("expireCount"));
    }
}
