//! The client's view beside a run: measures the baseline, turns what clients see into events, and follows the run's steps.

use crate::{
    drive::ClientNow,
    problem::{Problem, UNSEEN},
    setup::Setup,
};
use quorate_model::{ClientFigures, Cluster, Plan, Recorded, Release, RunEvent, StepId, StepRole};
use quorate_probe::{ClientEvent, ClientProbe, ProbeError, ProbeOptions};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{
    broadcast::error::RecvError,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// The client's view of one run.
pub struct ClientWatch {
    probe: Arc<ClientProbe>,
    pumps: Vec<tokio::task::JoinHandle<()>>,
}

impl ClientWatch {
    /// Starts to write and read through every endpoint. What must be there if this process dies is kept in `remains`.
    pub async fn start(
        setup: &Setup,
        cluster: &Cluster,
        lowest: &Release,
        remains: Option<PathBuf>,
    ) -> Result<Self, Problem> {
        let pack = setup.pack(cluster)?;
        let tunnels = setup.tunnels(cluster).await?;
        let options = ProbeOptions { remains, tunnels, ..ProbeOptions::new(lowest.clone()) };
        let probe = ClientProbe::start(pack, cluster, options).map_err(problem)?;
        Ok(Self { probe: Arc::new(probe), pumps: Vec::new() })
    }

    /// Measures how restless the cluster is with nothing going on.
    pub async fn baseline(&self, measured: Duration) -> RunEvent {
        let baseline = self.probe.baseline(measured).await;
        RunEvent::Baseline {
            gap_max_ms: millis(baseline.gap_max),
            p50_us: micros(baseline.p50),
            max_us: micros(baseline.max),
            measured: baseline.measured,
        }
    }

    /// What clients see from now on, as events.
    pub fn events(&mut self) -> UnboundedReceiver<RunEvent> {
        let (sender, receiver) = unbounded_channel();
        let mut seen = self.probe.events();
        self.pumps.push(tokio::spawn(async move {
            loop {
                let event = match seen.recv().await {
                    Ok(ClientEvent::Sample(sample)) => RunEvent::Client { sample },
                    Ok(ClientEvent::Gap(gap)) => RunEvent::ClientGap { gap },
                    // Seconds that were overtaken are missing in the picture, not in the account.
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                };
                if sender.send(event).is_err() {
                    return;
                }
            }
        }));
        receiver
    }

    /// Follows the run: names the step of each gap, and learns the release once a hop is complete.
    pub fn follow(&mut self, plan: Arc<Plan>) -> UnboundedSender<Recorded> {
        let (sender, mut events) = unbounded_channel::<Recorded>();
        let probe = self.probe.clone();
        self.pumps.push(tokio::spawn(async move {
            while let Some(recorded) = events.recv().await {
                match recorded.event {
                    RunEvent::Started { step, .. } => probe.under_way(Some(step)),
                    RunEvent::Finished { step, .. } => {
                        if let Some(release) = completed(&plan, &step)
                            && let Err(error) = probe.set_release(release) {
                                tracing::warn!(%error, "the client's view keeps its old way of speaking");
                            }
                    }
                    _ => {}
                }
            }
        }));
        sender
    }

    /// How the client fares at this moment.
    pub fn now(&self) -> ClientNow {
        ClientNow {
            gap_ms: millis(self.probe.gap_now()),
            reads_stale: self.probe.reads_stale(),
            locks_broken: self.probe.locks_broken(),
        }
    }

    /// Stops, reads everything back, cleans up, and gives the account.
    pub async fn end(self) -> Result<ClientFigures, Problem> {
        for pump in self.pumps {
            pump.abort();
            // An aborted task ends with an error that says so.
            let _ = pump.await;
        }
        let probe = Arc::into_inner(self.probe)
            .ok_or_else(|| Problem::new(UNSEEN, "the client's view is still in use"))?;
        probe.finish().await.map(|account| account.figures).map_err(problem)
    }
}

/// The release that the whole cluster runs once this step is over.
pub(crate) fn completed<'p>(plan: &'p Plan, step: &StepId) -> Option<&'p Release> {
    plan.hops.iter().find_map(|hop| {
        let own = hop.waves.iter().flat_map(|wave| &wave.steps).find(|own| own.id == *step)?;
        (own.role == StepRole::HopComplete).then_some(&hop.to)
    })
}

pub(crate) fn problem(error: ProbeError) -> Problem {
    let hint = error.hint();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let problem = Problem::new(UNSEEN, error.to_string()).hint(hint);
    match cause {
        Some(cause) => problem.because(cause),
        None => problem,
    }
}

fn millis(value: Duration) -> u64 {
    u64::try_from(value.as_millis()).unwrap_or(u64::MAX)
}

fn micros(value: Duration) -> u64 {
    u64::try_from(value.as_micros()).unwrap_or(u64::MAX)
}
