//! Looks at one node: its process, its settings, and the pack's probes in their order.
//!
//! Invariant: whatever gives no answer stays `None`. A node whose required probe was silent is unreachable, never dropped.
//! Read next: `observer.rs`, which joins the nodes to one look.

use crate::{
    Clients, Tools,
    ask::{Answered, Asking, NoAnswer},
    certificates, config_file,
    depth::{Depth, waits_for},
    fields,
    memory::{FileStamp, NodeMemory},
    packaged,
    process::{find::Found, settings},
    sight::Looking,
    templated,
    unit_files::{self, WouldStart},
};
use futures::future::join_all;
use jiff::Timestamp;
use quorate_model::{
    Cluster, Facts, Finding, Node, NodeObservation, Place, ProcessSpec, Reach, Release,
    ServiceSpec, Setting, SettingSource, Severity,
};
use quorate_packs::{CallTemplate, Detect, Pack, Probe, ProcessForm, eval::Scope, template_value};
use quorate_transport::{
    Command, Transport,
    secret::{self, SecretText},
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

/// A binary that does not tell its version within this time hangs; products answer in milliseconds.
const VERSION_LIMIT: Duration = Duration::from_secs(5);

/// A host whose product is silent at a gate may take this long to say what runs on it, as long as the product had. Nobody may
/// be stopped while another member is down, so a run halts within five seconds when a host has died, which takes two looks.
const SILENT_LIMIT: Duration = Duration::from_secs(1);

/// A product that has not answered after this time has its host looked at beside it, so that a host that died is told within
/// the same limit. Products answer in milliseconds: whoever takes longer is being started, stopped, or gone.
const HOST_AFTER: Duration = Duration::from_millis(250);

/// Code of findings that say which question had no answer.
pub(crate) const UNANSWERED: &str = "unanswered";
/// Code of the finding that says that a node's host shows nothing.
pub(crate) const HOST_DARK: &str = "host-unreachable";

/// All that a look at one node needs.
pub(crate) struct NodeLook<'a> {
    pub(crate) pack: &'a Pack,
    pub(crate) detect: &'a Detect,
    pub(crate) cluster: &'a Cluster,
    pub(crate) node: &'a Node,
    pub(crate) transport: &'a dyn Transport,
    pub(crate) clients: &'a Clients,
    pub(crate) tools: &'a Tools,
    pub(crate) depth: &'a Depth,
    /// At a gate: whether the host is looked at also when the product answers.
    pub(crate) host_at_once: bool,
    pub(crate) now: Timestamp,
    /// Cluster facts of the look before.
    pub(crate) known: &'a Facts,
}

/// What a process was started with, or would be.
struct Start<'a> {
    argv: &'a [String],
    env: &'a BTreeMap<String, String>,
    work_dir: Option<&'a Path>,
}

impl<'a> Start<'a> {
    fn of(found: &'a Found) -> Self {
        Self { argv: &found.argv, env: &found.env, work_dir: found.work_dir.as_deref() }
    }
    fn declared(service: &'a ProcessSpec) -> Self {
        Self { argv: &service.argv, env: &service.env, work_dir: service.work_dir.as_deref() }
    }
    /// What its command line and its environment set.
    fn settings(&self, form: &ProcessForm) -> Vec<Setting> {
        let mut all = settings::from_argv(self.argv);
        all.extend(settings::from_env(self.env, form));
        all
    }
}

/// Settings, the folder that relative paths in them start from, and whether all of them could be read.
struct Read {
    settings: Vec<Setting>,
    folder: PathBuf,
    whole: bool,
}

impl Read {
    /// Where the member's data lie and how the others know it.
    fn place(&self, form: &ProcessForm) -> Place {
        // With a configuration file the product reads nothing else.
        let in_file: Vec<Setting> = self
            .settings
            .iter()
            .filter(|setting| setting.source == SettingSource::File)
            .cloned()
            .collect();
        let own = if in_file.is_empty() { &self.settings } else { &in_file };
        let value = |name: &str| {
            settings::value_of(own, name, form).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let named = form.data_setting.iter().chain(&form.more_data_settings);
        let folders =
            named.filter_map(|name| Some((name.clone(), self.folder.join(value(name)?)))).collect();
        let urls = form.peer_setting.as_deref().and_then(value).unwrap_or_default();
        Place {
            name: form.name_setting.as_deref().and_then(value),
            peer_urls: urls
                .split(',')
                .map(str::trim)
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .collect(),
            folders,
        }
    }
}

/// Answers by their probes.
type Answers<'p> = BTreeMap<&'p str, Result<Answered, NoAnswer>>;

/// Probes whose answers have not been taken yet, in their order, and the answers among them that are there.
struct Open<'a, 'p> {
    probes: &'a [&'p Probe],
    answers: &'a Answers<'p>,
}

/// What was learnt, before fields are made of it.
pub(crate) struct NodeSeen {
    pub(crate) seen: NodeObservation,
    pub(crate) memory: NodeMemory,
    /// How long after the look began the node had said how it is: what is costly to ask comes later and is not in it.
    pub(crate) answered_after: Option<Duration>,
}

impl NodeLook<'_> {
    /// Looks.
    pub(crate) async fn look(&self, mut memory: NodeMemory) -> NodeSeen {
        let began = Instant::now();
        let mut seen = NodeObservation::unseen(
            self.node.name.clone(),
            self.node.group.clone(),
            "nothing was asked",
        );
        // A full look asks the product in the words of what it has just read on the host; a gate in those of the look before.
        let (dark, answered_after) = if self.depth.is_full() {
            let dark = self.look_at_host(&mut memory, &mut seen, None).await;
            (dark, self.ask_product(&mut memory, &mut seen, began).await)
        } else if !self.depth.sees_hosts() {
            (None, self.ask_product(&mut memory, &mut seen, began).await)
        } else {
            self.look_at_both(&mut memory, &mut seen, began).await
        };
        if self.depth.is_full() && !self.cluster.config.is_empty() {
            let running = seen.release.as_ref().or(seen.disk_release.as_ref());
            let (pack, cluster) = (self.pack, self.cluster);
            seen.templated =
                templated::read(self.transport, pack, cluster, self.node, running).await;
        }
        // Who asks a member through a host that does not let anybody in hears of a closed connection; the host says why.
        if let (Some(because), Reach::Unreachable(_)) = (dark, &seen.reach) {
            seen.reach = Reach::Unreachable(because);
        }
        NodeSeen { seen, memory, answered_after }
    }

    /// Product and host at a time: neither waits for the other, and a host that has lost its power keeps nobody waiting who
    /// asks it anything. Where the product's word is enough its host is left in peace: every look there is a handful of
    /// programs, beside a member that has just started.
    async fn look_at_both(
        &self,
        memory: &mut NodeMemory,
        seen: &mut NodeObservation,
        began: Instant,
    ) -> (Option<String>, Option<Duration>) {
        let (mut words, mut of_host, silent) = (memory.clone(), seen.clone(), Notify::new());
        let (tell, told) = oneshot::channel();
        let product = async {
            let answered = self.ask_product(&mut words, seen, began).await;
            if seen.reach != Reach::Reachable {
                silent.notify_one();
            }
            let _ = tell.send(seen.reach == Reach::Reachable);
            answered
        };
        let host = async {
            let answers = async { matches!(timeout(HOST_AFTER, told).await, Ok(Ok(true))) };
            if !self.host_at_once && answers.await {
                return None;
            }
            self.look_at_host(memory, &mut of_host, Some(&silent)).await
        };
        let (answered, dark) = tokio::join!(product, host);
        memory.release = words.release;
        seen.os = of_host.os;
        seen.process = of_host.process;
        seen.settings = of_host.settings;
        seen.config_digest = of_host.config_digest;
        seen.config_file = of_host.config_file;
        seen.place = of_host.place;
        seen.disk_release = of_host.disk_release;
        seen.findings.append(&mut of_host.findings);
        (dark, answered)
    }

    /// Gives why nothing could be seen there.
    async fn look_at_host(
        &self,
        memory: &mut NodeMemory,
        seen: &mut NodeObservation,
        silent: Option<&Notify>,
    ) -> Option<String> {
        let form = &self.detect.process;
        let (node, transport, full) = (self.node, self.transport, self.depth.is_full());
        let silent = silent.map(|silent| (silent, SILENT_LIMIT));
        let looking = Looking { node, transport, form, full, silent };
        let sight = looking.look(memory, |found| self.is_own(found)).await;
        if let Some(because) = &sight.dark {
            seen.findings.push(crate::finding(
                Severity::Warning,
                HOST_DARK,
                format!("nothing could be seen on the host of {}: {because}", self.node.name),
                Some("without its host a member can be looked at, not stopped and started".into()),
            ));
        }
        if sight.os.is_some() {
            memory.os = sight.os;
        }
        seen.os.clone_from(&memory.os);
        let fresh = sight.fresh;
        memory.process = sight.process;
        if let Some(found) = &memory.process {
            if fresh || self.depth.is_full() {
                let read = self.settings(&Start::of(found), seen).await;
                memory.place = read.whole.then(|| read.place(form));
                memory.settings = read.settings;
            }
            let live = found.live_binary(self.declared_binary().as_deref());
            let argv = settings::masked_argv(&found.argv, form);
            seen.process = Some(found.seen(&live, sight.replaced, argv));
            seen.settings.clone_from(&memory.settings);
            seen.config_digest = Some(settings::digest(&seen.settings, form));
            settings::mask(&mut seen.settings, form);
        } else {
            memory.settings.clear();
            // Only a look that a plan is made from: a member that a run has stopped is not read anew at every gate.
            if self.depth.is_full() {
                memory.place = None;
                if let Some(process) = self.node.service.as_ref().and_then(ServiceSpec::process) {
                    let read = self.settings(&Start::declared(process), seen).await;
                    memory.place = read.whole.then(|| read.place(form));
                    // A member that is down runs with nothing; its file says what it would be started with.
                    let in_file = |setting: &Setting| setting.source == SettingSource::File;
                    memory.settings = read.settings.into_iter().filter(in_file).collect();
                    seen.settings.clone_from(&memory.settings);
                    settings::mask(&mut seen.settings, form);
                }
            }
        }
        // A host that shows nothing says nothing of units either.
        if self.depth.is_full()
            && sight.dark.is_none()
            && let Some(start) = self.unit(memory.process.as_ref(), seen).await
        {
            self.would_start(&start, memory, seen).await;
        }
        seen.place.clone_from(&memory.place);
        let live = seen.process.as_ref().map(|process| process.binary.clone());
        if let (Some(binary), Some(stamp)) = (live.or_else(|| self.declared_binary()), sight.stamp)
        {
            seen.disk_release = self.disk_release(&binary, stamp, memory).await;
        }
        if self.depth.is_full() {
            let found = certificates::of_settings(
                self.transport,
                &memory.settings,
                memory.process.as_ref(),
                self.now,
            );
            seen.findings.extend(found.await);
        }
        sight.dark
    }

    fn declared_binary(&self) -> Option<PathBuf> {
        self.node.service.as_ref().and_then(ServiceSpec::binary)
    }

    /// Whether a process that was found by its name is this node's: by its data folder, else by its member name.
    fn is_own(&self, found: &Found) -> bool {
        let form = &self.detect.process;
        let mut all = settings::from_argv(&found.argv);
        all.extend(settings::from_env(&found.env, form));
        let value = |name: &Option<String>| {
            name.as_deref().and_then(|name| settings::value_of(&all, name, form))
        };
        match (&self.node.data_dir, value(&form.data_setting)) {
            (Some(declared), Some(folder)) => {
                let folder = found.work_dir.as_deref().unwrap_or(Path::new("/")).join(folder);
                *declared == folder
            }
            _ => {
                let file = value(&form.file_setting);
                let declared = self.declared_settings();
                let own = form.file_setting.as_deref();
                let own = own.and_then(|name| settings::value_of(&declared, name, form));
                value(&form.name_setting) == Some(self.node.name.as_str())
                    || (file.is_some() && file == own)
            }
        }
    }

    /// What the declared service would start the member with, its configuration file aside.
    fn declared_settings(&self) -> Vec<Setting> {
        let process = self.node.service.as_ref().and_then(ServiceSpec::process);
        process
            .map(|process| Start::declared(process).settings(&self.detect.process))
            .unwrap_or_default()
    }

    /// What a process runs with, or would be started with.
    async fn settings(&self, start: &Start<'_>, seen: &mut NodeObservation) -> Read {
        let form = &self.detect.process;
        let mut all = start.settings(form);
        let process = self.node.service.as_ref().and_then(ServiceSpec::process);
        let declared = process.and_then(|process| process.work_dir.as_deref());
        let folder = start.work_dir.or(declared).unwrap_or(Path::new("/")).to_owned();
        let name = form.file_setting.as_deref();
        let Some(file) = name.and_then(|name| settings::value_of(&all, name, form)) else {
            return Read { settings: all, folder, whole: true };
        };
        let path = folder.join(file);
        let read = config_file::read(self.transport, &path, self.pack, form).await;
        seen.config_file = Some(read.seen);
        let whole = read.settings.is_ok();
        match read.settings {
            Ok(more) => all.extend(more),
            Err(because) => seen.findings.push(crate::finding(
                Severity::Warning,
                "config-file-unseen",
                format!("{}: its configuration file {} cannot be read: {because}", self.node.name, path.display()),
                Some("its settings are not checked against the coming release; make the file readable".into()),
            )),
        }
        Read { settings: all, folder, whole }
    }

    /// Keeps what a member that is down would be started with by its unit.
    async fn would_start(
        &self,
        start: &WouldStart,
        memory: &mut NodeMemory,
        seen: &mut NodeObservation,
    ) {
        let form = &self.detect.process;
        let WouldStart { argv, env } = start;
        let read = self.settings(&Start { argv, env, work_dir: None }, seen).await;
        memory.place = read.whole.then(|| read.place(form));
        memory.settings = read.settings;
        seen.settings.clone_from(&memory.settings);
        settings::mask(&mut seen.settings, form);
    }

    /// Whether the declared unit runs the member, what it starts it with, and where it says so.
    async fn unit(&self, found: Option<&Found>, seen: &mut NodeObservation) -> Option<WouldStart> {
        let Some(ServiceSpec::Systemd(unit)) = &self.node.service else { return None };
        let form = &self.detect.process;
        let (name, own) = (&self.node.name, &unit.unit);
        let bare = unit.packages.is_empty().then_some(unit.binary.as_path());
        match unit_files::read(self.transport, own, found, self.pack, form, bare).await {
            Ok(read) => {
                seen.unit_files = read.files;
                seen.packages = read.packages;
                seen.findings.extend(packaged::undeclared(name, &unit.binary, &seen.packages));
                seen.findings.extend(read.wrong.map(|(because, hint)| {
                    crate::finding(
                        Severity::Error,
                        "unit-wrong",
                        format!("{name}: {because}"),
                        Some(hint),
                    )
                }));
                read.would_start
            }
            Err(because) => {
                seen.findings.push(crate::finding(
                    Severity::Warning,
                    "unit-files-unseen",
                    format!("{name}: the files of its unit {own} cannot be read: {because}"),
                    Some("settings that its unit says cannot be changed by a plan; make `systemctl show` and its files readable".into()),
                ));
                None
            }
        }
    }

    async fn disk_release(
        &self,
        binary: &Path,
        stamp: FileStamp,
        memory: &mut NodeMemory,
    ) -> Option<Release> {
        if let Some((known, release)) = &memory.disk
            && *known == stamp
        {
            return release.clone();
        }
        // A gate asks what runs, never what a restart would run: no program is started for its looks.
        if !self.depth.is_full() {
            return None;
        }
        let binary = binary.to_string_lossy().into_owned();
        let words = std::iter::once(binary).chain(self.pack.scheme.version_args.iter().cloned());
        let output = self.transport.run(&Command::new(words), VERSION_LIMIT).await.done()?;
        let release = release_in(self.pack, &output.text());
        memory.disk = Some((stamp, release.clone()));
        release
    }

    async fn ask_product(
        &self,
        memory: &mut NodeMemory,
        seen: &mut NodeObservation,
        began: Instant,
    ) -> Option<Duration> {
        let asked: Vec<&Probe> =
            self.detect.node.iter().filter(|probe| self.depth.asks(probe)).collect();
        let mut answers = Answers::new();
        let mut answered_after = None;
        let mut reach = Err("the pack asks nothing of a node".to_owned());
        for (at, probe) in asked.iter().enumerate() {
            let release = seen.release.clone().or_else(|| memory.release.clone());
            if !self.wanted(probe, release.as_ref(), &seen.facts) {
                continue;
            }
            if !answers.contains_key(probe.id.as_str()) {
                if began.elapsed() > self.depth.node_limit() {
                    seen.facts.insert("look_cut_short".into(), json!(probe.id));
                    break;
                }
                let open = Open { probes: &asked[at..], answers: &answers };
                let more = self.ask_at_once(&open, release.as_ref(), seen, memory, began).await;
                answers.extend(more);
            }
            let Some(answer) = answers.remove(probe.id.as_str()) else { continue };
            match answer {
                Ok(answer) => {
                    reach = Ok(());
                    if !probe.costly {
                        answered_after = Some(answer.after.max(answered_after.unwrap_or_default()));
                    }
                    self.take_facts(probe, &answer, seen);
                }
                Err(no) if probe.optional => seen.findings.extend(self.unanswered(probe, &no)),
                Err(no) => {
                    reach = Err(format!("{}: {}", probe.id, no.because()));
                    break;
                }
            }
            if seen.release.is_none() {
                seen.release = self.release_of(&seen.facts);
                if seen.release.is_some() && seen.release != memory.release {
                    // The rest was asked in the words of another release: once more.
                    memory.release.clone_from(&seen.release);
                    answers.clear();
                }
            }
        }
        seen.reach = match reach {
            Ok(()) => Reach::Reachable,
            Err(because) => Reach::Unreachable(because),
        };
        answered_after
    }

    /// Asks the first that is open, and at the same time all that wait for none of the others' answers, in the words of the
    /// release that is known. Without one the first alone: the words are not known yet.
    async fn ask_at_once<'p>(
        &self,
        open: &Open<'_, 'p>,
        release: Option<&Release>,
        seen: &NodeObservation,
        memory: &NodeMemory,
        began: Instant,
    ) -> Answers<'p> {
        let Open { probes, answers } = open;
        let count = if release.is_some() { probes.len() } else { 1 };
        let alone = |(at, probe): &(usize, &&Probe)| {
            !answers.contains_key(probe.id.as_str())
                && !probes[..*at].iter().any(|before| waits_for(probe, before))
                && self.wanted(probe, release, &seen.facts)
        };
        let together = probes.iter().take(count).enumerate().filter(alone);
        let asked = together.map(async |(_, probe): (usize, &&'p Probe)| {
            let (from, node) = (began.elapsed(), &self.node.name);
            let answer = self.ask(probe, release, &seen.facts, memory).await;
            tracing::trace!(%node, probe = probe.id, ?from, to = ?began.elapsed(), "asked");
            (probe.id.as_str(), timed(answer, began))
        });
        join_all(asked).await.into_iter().collect()
    }

    /// A full look tells what was asked in vain; a gate has its own words for what it could not see.
    pub(crate) fn unanswered(&self, probe: &Probe, no: &NoAnswer) -> Option<Finding> {
        let (node, because) = (&self.node.name, no.because());
        tracing::debug!(%node, probe = probe.id, because, "no answer");
        let text = format!("{node} did not answer `{}`: {because}", probe.id);
        self.depth.is_full().then(|| crate::finding(Severity::Note, UNANSWERED, text, None))
    }

    fn release_of(&self, facts: &Facts) -> Option<Release> {
        let scope = fact_scope(facts, self.known);
        let value = fields::field(self.pack, &self.detect.fields, "release", &scope)?;
        self.pack.upstream(&fields::text(&value)?)
    }

    /// Whether a probe is asked of this release, with these facts.
    pub(crate) fn wanted(&self, probe: &Probe, release: Option<&Release>, facts: &Facts) -> bool {
        let fits = match (&probe.releases, release) {
            (Some(range), Some(release)) => range.contains(release),
            (Some(_), None) => false,
            (None, _) => true,
        };
        fits && probe
            .when
            .as_deref()
            .is_none_or(|cel| self.pack.holds(cel, &fact_scope(facts, self.known)).is_true())
    }

    /// Asks one probe of this node.
    pub(crate) async fn ask(
        &self,
        probe: &Probe,
        release: Option<&Release>,
        facts: &Facts,
        memory: &NodeMemory,
    ) -> Result<Answered, NoAnswer> {
        let folder = self.tools.folder(release).map(Path::to_owned).or_else(|| {
            let binary = memory.process.as_ref().map(|found| found.exe.clone());
            binary
                .or_else(|| self.declared_binary())
                .and_then(|path| path.parent().map(Path::to_owned))
        });
        let asking = Asking {
            pack: self.pack,
            http: self.clients.for_release(release),
            transport: self.transport,
            folder: folder.as_deref(),
            tool_user: self.tool_user(&probe.ask)?,
            limit: self.depth.probe_limit(probe),
        };
        asking.ask(&probe.ask, &template_value(&self.context(release, facts, memory))).await
    }

    /// Who a tool acts as: `user:password`, in the variable that the pack names, read at the moment of use.
    fn tool_user(&self, call: &CallTemplate) -> Result<Option<(String, SecretText)>, NoAnswer> {
        let is_command = matches!(call, CallTemplate::Command { .. });
        let (Some(variable), Some(auth), true) =
            (&self.detect.tool_user_env, &self.cluster.auth, is_command)
        else {
            return Ok(None);
        };
        let password = secret::read(&auth.password)
            .map_err(|error| NoAnswer::NotAsked(format!("{error} ({})", error.hint())))?;
        let text = format!("{}:{}", auth.user, password.expose());
        Ok(Some((variable.clone(), SecretText::new(text))))
    }

    /// What templates of probes know.
    fn context(&self, release: Option<&Release>, facts: &Facts, memory: &NodeMemory) -> Value {
        let place = memory.place.as_ref();
        let own = place.and_then(|place| self.detect.process.data_folder(place));
        let data_dir = own.or(self.node.data_dir.as_ref());
        let tls = self
            .cluster
            .tls
            .as_ref()
            .map(|tls| json!({"ca": tls.ca, "cert": tls.cert, "key": tls.key}));
        json!({
            "node": {
                "name": self.node.name,
                "group": self.node.group,
                "data_dir": data_dir,
                "folders": place.map(|place| &place.folders).unwrap_or(&BTreeMap::new()),
                "release": release,
            },
            "endpoint": self.node.endpoints.get(&self.detect.endpoint),
            "endpoints": self.node.endpoints,
            "vars": release.map(|release| self.pack.vars_for(release)).unwrap_or_default(),
            "facts": facts,
            "cluster": self.known,
            "tls": tls,
            "auth": self.cluster.auth.as_ref().map(|auth| json!({"user": auth.user})),
        })
    }

    fn take_facts(&self, probe: &Probe, answer: &Answered, seen: &mut NodeObservation) {
        let facts = facts_of(self.pack, probe, answer, &seen.facts, self.known);
        seen.facts.extend(facts);
    }
}

fn timed(answer: Result<Answered, NoAnswer>, began: Instant) -> Result<Answered, NoAnswer> {
    answer.map(|answer| Answered { after: began.elapsed(), ..answer })
}

/// Facts from an answer. An answer with a status that was not expected gives none.
pub(crate) fn facts_of(
    pack: &Pack,
    probe: &Probe,
    answer: &Answered,
    before: &Facts,
    cluster: &Facts,
) -> Facts {
    let mut facts = Facts::new();
    if !answer.expected {
        return facts;
    }
    let scope = Scope::default()
        .with("status", &json!(answer.status))
        .with("body", &answer.body)
        .with("text", &Value::String(answer.text.clone()))
        .with("cluster", &object(cluster));
    for (name, cel) in &probe.facts {
        let scope = scope.with("facts", &object(before));
        match pack.value_in(cel, &scope) {
            Ok(Value::Null) => {}
            Ok(value) => {
                facts.insert(name.clone(), value);
            }
            Err(because) => tracing::trace!(probe = probe.id, fact = name, because, "no fact"),
        }
    }
    facts
}

/// A scope with `facts` of a node and `cluster`.
pub(crate) fn fact_scope(facts: &Facts, cluster: &Facts) -> Scope {
    Scope::default().with("facts", &object(facts)).with("cluster", &object(cluster))
}

fn object(facts: &Facts) -> Value {
    Value::Object(
        facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>(),
    )
}

/// The release in what a binary prints of itself: the whole text, else the first word that is one.
pub(crate) fn release_in(pack: &Pack, text: &str) -> Option<Release> {
    let first_line = text.lines().next().unwrap_or_default();
    let numbered =
        |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    text.split_whitespace()
        .filter(numbered)
        .find_map(|word| pack.upstream(word.trim_start_matches('v').trim_end_matches(',')))
        .or_else(|| pack.upstream(first_line))
}
