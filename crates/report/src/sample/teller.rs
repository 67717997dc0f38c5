//! Tells a journal step by step, a client and a clock of its own beside it.

use super::behind;
use jiff::{SignedDuration, Timestamp};
use quorate_model::{
    Attempt, ClientFigures, ClientGap, ClientSample, Digest, Generation, Holder, NodeName, Outcome,
    Plan, Recorded, Release, Role, RunEvent, Seq, Step, StepRole,
};
use std::time::Duration;

/// The events so far and the moment that the story has reached.
pub(super) struct Teller<'a> {
    plan: &'a Plan,
    pub(super) nodes: Vec<NodeName>,
    pub(super) at: Timestamp,
    pub(super) events: Vec<Recorded>,
    leader: NodeName,
    releases: Vec<Release>,
    second: u64,
    acked: u64,
    worst_gap: u64,
    /// A gap that the next client's second tells of.
    gap: u64,
}

const BASELINE_GAP_MS: u64 = 14;

impl<'a> Teller<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let nodes: Vec<_> = plan.observed.nodes.iter().map(|node| node.name.clone()).collect();
        let leader = nodes.last().cloned().unwrap_or_else(|| NodeName::from("nobody"));
        Self {
            plan,
            releases: vec![plan.from.clone(); nodes.len()],
            nodes,
            at: plan.observation.taken_at + SignedDuration::from_millis(2_500),
            events: Vec::new(),
            leader,
            second: 0,
            acked: 0,
            worst_gap: 0,
            gap: 0,
        }
    }

    pub(super) fn say(&mut self, event: RunEvent) {
        let seq = Seq(u64::try_from(self.events.len()).unwrap_or(0) + 1);
        self.events.push(Recorded { seq, at: self.at, event });
    }

    /// Lets time pass, the client at work.
    pub(super) fn advance(&mut self, millis: i64) {
        let end = self.at + SignedDuration::from_millis(millis);
        let Some(began) = self.events.first().map(|first| first.at) else { return };
        loop {
            let secs = i64::try_from(self.second + 1).unwrap_or(0);
            let next = began + SignedDuration::from_secs(secs);
            if next > end {
                break;
            }
            self.second += 1;
            self.at = next;
            let sample = self.sample();
            self.say(RunEvent::Client { sample });
        }
        self.at = end;
    }

    /// Lets time pass while nobody is there.
    pub(super) fn silence(&mut self, millis: i64) {
        self.at += SignedDuration::from_millis(millis);
        self.second += u64::try_from(millis / 1000).unwrap_or(0);
    }

    fn sample(&mut self) -> ClientSample {
        // Any fixed stirring of the second will do: it only has to look like noise.
        let stirred = (self.second + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let noise = (stirred ^ (stirred >> 29)) % 1_000;
        let gap = std::mem::take(&mut self.gap);
        let acked = 98 - gap / 11;
        self.acked += acked;
        ClientSample {
            at: self.at,
            acked,
            failed: 0,
            p50_us: 980 + noise / 4,
            max_us: 2_200 + noise * noise / 150 + gap * 1_000,
            gap_ms: gap.max(9 + noise / 250),
        }
    }

    pub(super) fn begin(&mut self) {
        let holder = Holder { who: "anna@control-1".into(), pid: 4_242 };
        let (plan, cluster) = (self.plan.digest.clone(), self.plan.cluster.clone());
        self.say(RunEvent::Began { plan, cluster, holder, generation: Generation(1) });
        self.advance(5_000);
        self.say(RunEvent::Baseline {
            gap_max_ms: BASELINE_GAP_MS,
            p50_us: 1_150,
            max_us: 6_400,
            measured: Duration::from_secs(5),
        });
    }

    pub(super) fn ask(&mut self, step: &Step) {
        let text = "after the last member runs 3.5 the data cannot be read by 3.4 again; \
                    a verified backup is the way back";
        self.say(RunEvent::AskedApproval { step: step.id.clone(), text: text.into() });
    }

    /// Tells one step from intent to end.
    pub(super) fn tell(&mut self, step: &Step) {
        if step.role == StepRole::Go {
            self.ask(step);
            self.advance(1_800);
            self.say(RunEvent::Approved { step: step.id.clone(), by: "anna@control-1".into() });
        }
        self.say(RunEvent::Started { step: step.id.clone(), attempt: Attempt(1) });
        self.finish(step);
    }

    /// Tells what follows a step's intent.
    pub(super) fn finish(&mut self, step: &Step) {
        let began = self.at;
        let outcome = Outcome::Succeeded { note: None };
        self.advance(act_ms(step.role) / 2);
        if matches!(step.role, StepRole::Handover | StepRole::Stop) {
            self.interrupt(step);
        }
        self.advance(act_ms(step.role) / 2);
        self.say(RunEvent::Acted { step: step.id.clone(), attempt: Attempt(1), outcome });
        self.after_act(step);
        let took = Duration::try_from(self.at.duration_since(began)).unwrap_or_default();
        let note = (step.role == StepRole::Verify).then(|| "12,480 keys compared".to_owned());
        let outcome = Outcome::Succeeded { note };
        self.say(RunEvent::Finished { step: step.id.clone(), outcome, took });
    }

    fn interrupt(&mut self, step: &Step) {
        let base = if step.role == StepRole::Handover { 96 } else { 38 };
        let gap_ms = base + u64::try_from(step.id.as_str().len()).unwrap_or(0) * 2;
        self.gap = gap_ms;
        self.worst_gap = self.worst_gap.max(gap_ms);
        let at = self.at - SignedDuration::from_millis(20);
        let gap = ClientGap { at, gap_ms, step: Some(step.id.clone()) };
        self.say(RunEvent::ClientGap { gap });
    }

    fn after_act(&mut self, step: &Step) {
        match (step.role, &step.node) {
            (StepRole::Handover, Some(node)) => {
                let next = self.nodes.iter().find(|other| *other != node).cloned();
                self.leader = next.unwrap_or_else(|| node.clone());
                for node in self.nodes.clone() {
                    self.see(&node, Some(true), 0);
                }
            }
            (StepRole::Stop, Some(node)) => self.see(node, None, 0),
            (StepRole::Rejoin, Some(node)) => self.rejoin(step, node),
            (StepRole::Backup, _) => self.back_up(step, None),
            (StepRole::Verify, _) => {
                self.back_up(step, Some("12,480 keys equal at revision 52,114".into()));
            }
            (StepRole::Soak, _) => self.advance(3_000),
            (StepRole::HopComplete, _) => {
                let want = self.releases.first().cloned().unwrap_or_else(|| self.plan.to.clone());
                let on = quorate_model::WaitingOn::HopComplete { seen: None, want };
                self.say(RunEvent::Waiting { step: step.id.clone(), on });
                self.advance(1_500);
            }
            _ => {}
        }
    }

    fn back_up(&mut self, step: &Step, verified: Option<String>) {
        let hop = step.id.as_str().split('.').next().unwrap_or("h1").to_owned();
        let sha256 = Digest::new("c3ab8ff13720e8ad9047dd39466b3c89".repeat(2));
        let file = format!("backups/demo/{hop}-v3-snapshot.db");
        let size_bytes = 20_480_000;
        self.say(RunEvent::BackedUp { step: step.id.clone(), file, sha256, size_bytes, verified });
    }

    fn rejoin(&mut self, step: &Step, node: &NodeName) {
        self.run_new(step, node);
        self.see(node, Some(false), 1_400);
        self.advance(500);
        for lag in [1_400, 610, 80] {
            self.say(RunEvent::Waiting { step: step.id.clone(), on: behind(node, lag) });
            self.see(node, Some(true), lag);
            self.advance(420);
        }
        self.see(node, Some(true), 0);
        let floor = Duration::from_millis(2_960);
        self.say(RunEvent::Floor { step: step.id.clone(), node: node.clone(), floor });
    }

    /// A member that is behind and stays so for now.
    pub(super) fn catch_up(&mut self, step: &Step) {
        let Some(node) = step.node.clone() else { return };
        self.say(RunEvent::Started { step: step.id.clone(), attempt: Attempt(1) });
        self.run_new(step, &node);
        self.see(&node, Some(false), 6_200);
        self.advance(900);
        self.say(RunEvent::Waiting { step: step.id.clone(), on: behind(&node, 4_120) });
        self.see(&node, Some(true), 4_120);
        self.advance(1_300);
    }

    fn run_new(&mut self, step: &Step, node: &NodeName) {
        let hop = if step.id.as_str().starts_with("h1") { 0 } else { 1 };
        let to = self.plan.hops.get(hop).map(|hop| hop.to.clone());
        let index = self.nodes.iter().position(|other| other == node);
        if let (Some(to), Some(index)) = (to, index) {
            self.releases[index] = to;
        }
    }

    fn see(&mut self, node: &NodeName, healthy: Option<bool>, lag: u64) {
        let reachable = healthy.is_some();
        let index = self.nodes.iter().position(|other| other == node);
        let release = index.and_then(|index| self.releases.get(index)).filter(|_| reachable);
        let role = match (reachable, *node == self.leader) {
            (false, _) => Role::Unknown,
            (true, true) => Role::Leader,
            (true, false) => Role::Follower,
        };
        let (node, release) = (node.clone(), release.cloned());
        let lag = reachable.then_some(lag);
        self.say(RunEvent::MemberSeen { node, reachable, release, role, healthy, lag });
    }

    pub(super) fn end(&mut self) {
        let figures = ClientFigures {
            writes_acked: self.acked,
            writes_lost: 0,
            requests_failed: 0,
            reads_ok: self.acked * 2,
            reads_stale: 0,
            watch_events: self.acked,
            watch_missed: 0,
            write_gap_max_ms: self.worst_gap,
            baseline_gap_max_ms: BASELINE_GAP_MS,
            ..ClientFigures::default()
        };
        self.say(RunEvent::ClientFigures { figures });
        self.say(RunEvent::Succeeded);
    }
}

/// How long the act of a step lasts; its gate comes on top.
fn act_ms(role: StepRole) -> i64 {
    match role {
        StepRole::Precheck => 1_600,
        StepRole::Stage => 700,
        StepRole::Backup => 900,
        StepRole::Verify => 2_400,
        StepRole::Handover => 400,
        StepRole::Stop => 460,
        StepRole::Swap => 120,
        StepRole::Start => 900,
        StepRole::HopComplete => 400,
        _ => 200,
    }
}
