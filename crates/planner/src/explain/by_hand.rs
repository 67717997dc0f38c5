//! What a person types instead of a step: commands of `hands.sh` and of the pack, which work as they are printed.
//!
//! What cannot be typed is a comment, and says so. Read next: `hands.sh`, the words that these commands are made of.

use super::{RunBook, edits, remote, shell};
use crate::{
    hop::quoted,
    members::{Member, members},
    packages,
    template::{Extra, Known, Words},
};
use quorate_model::{
    ARTIFACT_WHOLE, Action, ArtifactRef, ArtifactSource, Backup, Call, CallKind, Condition,
    HOLD_BACK, Hop, HopKind, Host, HostAct, LET_GO, Node, NodeName, ProcessSpec, Release,
    ServiceSpec, Step,
};
use std::path::{Path, PathBuf};

/// One hop, as a person goes through it.
pub(super) struct Hands<'a> {
    pub(super) book: &'a RunBook<'a>,
    pub(super) at: usize,
    pub(super) hop: &'a Hop,
    pub(super) members: Vec<Member<'a>>,
}

impl<'a> Hands<'a> {
    pub(super) fn new(book: &'a RunBook<'a>, at: usize, hop: &'a Hop) -> Self {
        let members = members(book.pack, book.cluster, &book.plan.observed);
        Self { book, at, hop, members }
    }

    fn words(&self) -> Words<'a> {
        Words {
            pack: self.book.pack,
            cluster: self.book.cluster,
            observation: &self.book.plan.observed,
            from: &self.hop.from,
            to: &self.hop.to,
            speaking: &self.hop.from,
            before: None,
            renamed: false,
            known: Known::default(),
        }
    }

    fn member(&self, name: Option<&NodeName>) -> Option<&Member<'a>> {
        match name {
            Some(name) => self.members.iter().find(|member| member.name() == name),
            None => self.members.first(),
        }
    }

    /// Addresses of the nodes that may have a vote.
    pub(super) fn servers(&self, purpose: Option<&str>) -> Vec<&'a str> {
        let own = self.members.iter().filter(|member| !member.is_client());
        let urls = own.filter_map(|member| member.node.endpoints.get(purpose?));
        urls.map(|url| url.trim_end_matches('/')).collect()
    }

    /// Words of the pack's own, for the head of the book.
    pub(super) fn shell(&self) -> Option<String> {
        let text = &self.book.pack.by_hand.shell;
        let member = self.member(None).filter(|_| !text.is_empty())?;
        self.words().text("the run book", member, text, Extra::default()).ok()
    }

    /// The folder of the hop's tools on the first node, and the commands that bring them there.
    pub(super) fn tools(&self) -> Vec<String> {
        let Some(node) = self
            .book
            .cluster
            .nodes
            .iter()
            .find(|node| Files::of(node, &self.hop.artifact).is_some())
        else {
            return vec![format!("tools=   # the folder with the tools of {}", self.hop.to)];
        };
        let Some(files) = Files::of(node, &self.hop.artifact) else { return Vec::new() };
        // What looks at members over SSH runs here, with files of its own.
        let here = match remote::away(node) {
            Some(_) => files.in_folder(&self.book.state_dir.join("tools")),
            None => files,
        };
        let fetch = fetch(&self.hop.artifact);
        let mut lines = self.bring(&here, &self.hop.artifact, &fetch);
        lines.push(format!("tools={}", quoted_path(&here.folder)));
        lines
    }

    /// What a block says for a step; nothing when there is nothing to type.
    pub(super) fn step(&self, step: &Step) -> Vec<String> {
        let (mut comments, mut chain) = (Vec::new(), Vec::new());
        for act in self.act(&step.action) {
            let (own, typed): (Vec<&str>, Vec<&str>) =
                act.lines().partition(|line| line.starts_with('#'));
            comments.extend(own.into_iter().map(str::to_owned));
            if !typed.is_empty() {
                chain.push(typed.join("\n"));
            }
        }
        let mut looks = Vec::new();
        if !chain.is_empty() && !step.precheck.is_empty() {
            looks.extend(self.look(step, "before", &step.precheck));
            // Asked five times at most: what does not hold within some seconds needs a person, not patience.
            chain.insert(0, "gate before 1 2 5".into());
        }
        if let Some(gate) = &step.gate {
            looks.extend(self.look(step, "after", &gate.conditions));
            chain.push(format!("gate after {}", shell::waits(gate)));
        }
        let chain = chain.join(" &&\n");
        let done = step.done.as_ref().filter(|_| !chain.is_empty());
        let chain = match done.and_then(|done| Some((done, self.ask(step, done)?))) {
            Some((done, asked)) => {
                let said = shell::word(&format!("{}: nothing to do", done.text));
                vec![format!("if {asked}; then echo {said}; else"), chain, "fi".into()]
            }
            None if chain.is_empty() => Vec::new(),
            None => vec![chain],
        };
        [comments, looks, chain].concat()
    }

    fn act(&self, action: &Action) -> Vec<String> {
        match action {
            Action::Look | Action::Confirm { .. } => Vec::new(),
            Action::Stage { node, artifact } => self.stage(node, artifact),
            Action::Backup { backup } => {
                let folder = Path::new(&backup.file).parent().unwrap_or(Path::new(""));
                let make = format!("mkdir -p \"$state/{}\"", folder.display());
                let save = backup.save.by_hand.clone();
                match (&backup.save.call, self.node(&backup.node).and_then(remote::away)) {
                    // It reads the member's own files.
                    (CallKind::Command { .. }, Some(host)) => {
                        vec![format!(
                            "# on {host}, then bring it here as $state/{}: {save}",
                            backup.file
                        )]
                    }
                    _ => vec![make, save],
                }
            }
            Action::Verify { backup } => vec![backup.verify.by_hand.clone()],
            Action::Call { call } => vec![call.by_hand.clone()],
            // Done on the host itself.
            Action::TempSet { call, .. } if is_native(&call.call, HOLD_BACK) => {
                self.there(&call.node, std::slice::from_ref(&call.by_hand))
            }
            Action::TempSet { call, put_back, .. } => {
                vec![format!("# later, to put it back: {}", put_back.by_hand), call.by_hand.clone()]
            }
            Action::TempPutBack { key } if let Some(start) = self.starts(key) => vec![start],
            Action::TempPutBack { key } => match self.put_back(key) {
                Some(call) => self.there(&call.node, std::slice::from_ref(&call.by_hand)),
                None => vec![format!("# put back `{key}` as noted when it was set")],
            },
            Action::Stop { node } => self.there(node, &self.stop(node)),
            Action::Swap { node, from, to, config, packages } => {
                let files = config.iter().flat_map(|config| &config.files);
                let rewritten: Vec<String> = files.map(edits::command).collect();
                // What a unit says counts only after systemd has read it.
                let is_unit = matches!(self.service(node), Some(ServiceSpec::Systemd(_)));
                let reload = (is_unit && !rewritten.is_empty())
                    .then(|| "systemctl daemon-reload".to_owned());
                let swap = match packages.is_empty() {
                    true => self.swap(node, from, to),
                    false => self.install(node, to, packages),
                };
                let acts: Vec<String> = rewritten.into_iter().chain(reload).chain(swap).collect();
                let diff = config.iter().flat_map(|config| &config.diff);
                diff.map(|change| format!("# setting: {change}"))
                    .chain(self.there(node, &acts))
                    .collect()
            }
            Action::Start { node, .. } => self.there(node, &self.start(node)),
            Action::Restore { node, backup, call, .. } => self.restore(node, backup, call),
            Action::Membership { call, .. } => vec![call.by_hand.clone()],
            Action::SetAside { node } => {
                vec![format!("# move the data folder of {node} aside; do not delete it")]
            }
            Action::BringBack { node } => {
                vec![format!(
                    "# move the data folder of {node} aside, and the one that was kept beside it back"
                )]
            }
            Action::Clear { node } => {
                vec![format!(
                    "# delete what lies beside the data folder of {node}: the data of before"
                )]
            }
            Action::StandStill { host, stop: act, .. } | Action::Switch { host, act, .. } => {
                vec![on_application(host, act)]
            }
            Action::List { node, out: Some(_) } => {
                vec![format!(
                    "# take {node} out of balancers and of the endpoints that clients get"
                )]
            }
            Action::List { node, out: None } => {
                vec![format!("# put {node} back into balancers and the endpoints that clients get")]
            }
        }
    }

    /// Acts on a node, on its own host.
    fn there(&self, node: &NodeName, acts: &[String]) -> Vec<String> {
        let Some(node) = self.node(node).filter(|node| remote::away(node).is_some()) else {
            return acts.to_vec();
        };
        let typed = |act: &&String| !act.starts_with('#');
        acts.iter()
            .map(|act| if typed(&act) { remote::on(node, act) } else { act.clone() })
            .collect()
    }

    fn restore(&self, node: &NodeName, backup: &Backup, call: &Call) -> Vec<String> {
        let away = self.node(node).and_then(|node| Some((node, remote::away(node)?)));
        let (Some((node, host)), CallKind::Command { .. }) = (away, &call.call) else {
            return vec![call.by_hand.clone()];
        };
        let Some(files) = Files::of(node, &self.hop.artifact) else {
            return vec![format!("# on {host}: {}", call.by_hand)];
        };
        let room = Path::new("/var/lib/quorate").join(self.book.cluster.name.as_str());
        let (from, to) = (format!("\"$state/{}\"", backup.file), room.join(&backup.file));
        let words = format!("tools={} state={}", quoted_path(&files.folder), quoted_path(&room));
        // Root restores, and the data belong to whom they belonged.
        let owner = node.data_dir.as_ref().map(|data| {
            let aside = format!("{}.before-restore", data.display());
            format!(" &&\nchown -R --reference={} {}", shell::word(&aside), quoted_path(data))
        });
        let act = format!("{words}\n{}{}", call.by_hand.trim(), owner.unwrap_or_default());
        let gone = format!("rm -f {}", quoted_path(&to));
        vec![
            format!("carry {host} {from} {}", quoted_path(&to)),
            remote::on(node, &format!("{act} &&\n{gone}")),
        ]
    }

    /// A function that ends with status 0 when every condition holds, and else leaves in `not_yet` which one did not.
    fn look(&self, step: &Step, name: &str, conditions: &[Condition]) -> Vec<String> {
        let mut lines = vec![format!("{name}() {{")];
        for condition in conditions {
            lines.push(format!("    not_yet={}", shell::word(&condition.text)));
            let see = || format!("see {}", shell::word(&condition.text));
            let asked = self.ask(step, condition).unwrap_or_else(see);
            lines.push(format!("    {asked} || return 1"));
        }
        lines.push("}".into());
        lines
    }

    /// A condition as the pack's command for it; none when the pack has no words for it.
    fn ask(&self, step: &Step, condition: &Condition) -> Option<String> {
        if condition.name == ARTIFACT_WHOLE {
            return self.whole(step.node.as_ref()?);
        }
        let by_hand = &self.book.pack.by_hand;
        let commands = if step.node.is_some() { &by_hand.of_member } else { &by_hand.of_cluster };
        let target = self.members.iter().find(|member| {
            condition.cel == format!("cluster.leader == {}", quoted(member.name().as_str()))
        });
        let extra = Extra { target: target.copied(), ..Extra::default() };
        let member = self.member(step.node.as_ref())?;
        self.words().text(&condition.name, member, commands.get(&condition.name)?, extra).ok()
    }

    /// Whether the staged server on a node is the planned one.
    fn whole(&self, node: &NodeName) -> Option<String> {
        let artifact = &self.hop.artifact;
        let files = Files::of(self.node(node)?, artifact)?;
        let server = artifact.files.iter().find(|file| file.name == self.server())?;
        let line = format!("{}  {}", server.sha256, files.beside.display());
        let look = format!("echo {} | sha256sum -c --status", shell::word(&line));
        Some(remote::on(self.node(node)?, &look))
    }

    fn node(&self, name: &NodeName) -> Option<&'a Node> {
        self.book.cluster.nodes.iter().find(|node| node.name == *name)
    }

    /// The service as this hop leaves it: as declared, or as the last rewrite up to here says.
    fn service(&self, name: &NodeName) -> Option<&'a ServiceSpec> {
        let steps = self.book.plan.hops.iter().take(self.at + 1).flat_map(|hop| &hop.waves);
        let mut rewritten =
            steps.flat_map(|wave| &wave.steps).filter_map(|step| match &step.action {
                Action::Swap { node, config: Some(config), .. } if node == name => {
                    config.service.as_ref()
                }
                _ => None,
            });
        rewritten.next_back().or_else(|| self.node(name)?.service.as_ref())
    }

    fn stage(&self, node: &NodeName, artifact: &ArtifactRef) -> Vec<String> {
        let Some(files) = self.node(node).and_then(|node| Files::of(node, artifact)) else {
            return vec![format!("# bring {} {} to {node}", artifact.pack, artifact.release)];
        };
        let Some((node, host)) = self.node(node).and_then(|node| Some((node, remote::away(node)?)))
        else {
            return self.bring(&files, artifact, &fetch(artifact));
        };
        // It was brought here as the hop's tools, and its digests are looked at there.
        let bring = self.bring(&files, artifact, "true").join(" &&\n");
        let give = format!("give {host} {}", quoted_path(&files.folder));
        vec![give, remote::on(node, &bring)]
    }

    fn bring(&self, files: &Files, artifact: &ArtifactRef, fetch: &str) -> Vec<String> {
        let sums: Vec<String> =
            artifact.files.iter().map(|file| format!("{}  {}", file.sha256, file.name)).collect();
        vec![
            format!("server={}", shell::word(&self.server())),
            format!(
                "bring {} {} {} {fetch}",
                quoted_path(&files.folder),
                shell::word(&sums.join("\n")),
                quoted_path(&files.beside),
            ),
        ]
    }

    /// The server's name in an artifact.
    fn server(&self) -> String {
        self.book.pack.scheme.binaries.first().cloned().unwrap_or_default()
    }

    fn stop(&self, node: &NodeName) -> Vec<String> {
        match self.node(node).and_then(|node| node.service.as_ref()) {
            Some(spec @ ServiceSpec::Process(ProcessSpec { pid_file, grace, .. })) => {
                let binary = spec.binary().unwrap_or_default();
                let secs = grace.as_secs().max(1);
                vec![format!(
                    "stop_service {} {secs} {}",
                    quoted_path(pid_file),
                    quoted_path(&binary)
                )]
            }
            Some(ServiceSpec::Systemd(unit)) => {
                vec![format!("systemctl stop {}", shell::word(&unit.unit))]
            }
            None => vec![format!("# stop the service of {node}, politely first")],
        }
    }

    fn swap(&self, node: &NodeName, from: &Release, to: &ArtifactRef) -> Vec<String> {
        let server = to.files.iter().find(|file| file.name == self.server());
        let files = self.node(node).and_then(|node| Files::of(node, to));
        let (Some(server), Some(files)) = (server, files) else {
            return vec![format!("# exchange the files of {node}: {from} -> {}", to.release)];
        };
        vec![format!(
            "exchange {} {} {} {}",
            quoted_path(&files.live),
            quoted_path(&files.beside),
            quoted_path(&files.named(from)),
            server.sha256
        )]
    }

    /// The packages of a release, as a run installs them.
    fn install(&self, node: &NodeName, to: &ArtifactRef, packages: &[String]) -> Vec<String> {
        let Some(files) = self.node(node).and_then(|node| Files::of(node, to)) else {
            return vec![format!("# install {} on {node}", packages.join(", "))];
        };
        let names: Vec<String> = packages.iter().map(|name| format!("./{name}")).collect();
        let names = shell::words(names.iter().map(String::as_str));
        vec![packages::by_hand::install(&quoted_path(&files.folder), &names)]
    }

    /// How an application that stands still is started.
    fn starts(&self, key: &str) -> Option<String> {
        let steps = self.hop.waves.iter().flat_map(|wave| &wave.steps);
        steps.into_iter().find_map(|step| match &step.action {
            Action::StandStill { key: own, host, start, .. } if own == key => {
                Some(on_application(host, start))
            }
            _ => None,
        })
    }

    /// How what a run would hold back on a host is let go.
    fn put_back(&self, key: &str) -> Option<&'a Call> {
        let steps = self.hop.waves.iter().flat_map(|wave| &wave.steps);
        steps.into_iter().find_map(|step| match &step.action {
            Action::TempSet { key: own, put_back, .. }
                if own == key && is_native(&put_back.call, LET_GO) =>
            {
                Some(put_back)
            }
            _ => None,
        })
    }

    fn start(&self, node: &NodeName) -> Vec<String> {
        let ProcessSpec { argv, env, pid_file, log_file, work_dir, .. } = match self.service(node) {
            Some(ServiceSpec::Process(process)) => process,
            Some(ServiceSpec::Systemd(unit)) => {
                // Where everybody was stopped a member serves only once others are there, too.
                let wait = if self.hop.kind == HopKind::Rolling { "" } else { "--no-block " };
                return vec![format!("systemctl start {wait}{}", shell::word(&unit.unit))];
            }
            None => return vec![format!("# start the service of {node}")],
        };
        let own: Vec<String> = env.iter().map(|(key, value)| format!("{key}={value}")).collect();
        // As a run starts it: nothing of this shell's own variables reaches the service, but its way to programs.
        let clean = ["env", "-i"].into_iter().chain(own.iter().map(String::as_str));
        let words = shell::words(clean.chain(argv.iter().map(String::as_str)));
        let words = words.replacen("env -i", "env -i PATH=\"$PATH\"", 1);
        let folder = work_dir.as_deref().unwrap_or(Path::new("/"));
        let (pid_file, log_file) = (quoted_path(pid_file), quoted_path(log_file));
        vec![format!("start_service {pid_file} {log_file} {} {words}", quoted_path(folder))]
    }
}

/// Where a release's files lie around a node's live binary; as a run puts them.
struct Files {
    live: PathBuf,
    folder: PathBuf,
    beside: PathBuf,
}

impl Files {
    fn of(node: &Node, artifact: &ArtifactRef) -> Option<Self> {
        let live = node.service.as_ref()?.binary()?;
        let folder = live.with_file_name(format!("{}-{}", artifact.pack, artifact.release));
        let files = Self { live, folder, beside: PathBuf::new() };
        Some(Self { beside: files.named(&artifact.release), ..files })
    }
    /// The same names in another folder.
    fn in_folder(&self, folder: &Path) -> Self {
        let at = |path: &Path| folder.join(path.file_name().unwrap_or_default());
        Self { live: at(&self.live), folder: at(&self.folder), beside: at(&self.beside) }
    }
    /// The server's file of a release beside the live one.
    fn named(&self, release: &Release) -> PathBuf {
        let name = self.live.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.live.with_file_name(format!("{name}_{release}"))
    }
}

/// The command that brings an artifact's files into the current folder.
fn fetch(artifact: &ArtifactRef) -> String {
    let names = artifact.files.iter().map(|file| file.name.as_str());
    match &artifact.source {
        ArtifactSource::Folder(folder) => {
            let files: Vec<String> =
                names.map(|name| folder.join(name).display().to_string()).collect();
            let all = ["cp", "-p"].into_iter().chain(files.iter().map(String::as_str));
            shell::words(all.chain(["."]))
        }
        ArtifactSource::Url { url, sha256 } => {
            let name = url.rsplit('/').next().unwrap_or("artifact");
            let wanted: Vec<&str> = names.collect();
            let script = format!(
                "curl -fsSLO {0} && echo {sha256}  {1} | sha256sum -c && case {1} in *.zip) unzip -oq {1} ;; *.gz) tar -xzf {1} ;; esac && for file in {2}; do found=$(find . -type f -name $file | head -n 1) && [ $found = ./$file ] || mv $found . || exit 1; done",
                shell::word(url),
                shell::word(name),
                shell::words(wanted)
            );
            shell::words(["sh", "-c", &script])
        }
        ArtifactSource::Debian { suite, packages } => {
            let packages: Vec<String> =
                packages.iter().map(|package| format!("{package}/{suite}")).collect();
            let script = format!(
                "apt-get download {} && for package in *.deb; do dpkg-deb -x $package . || exit 1; done && cp -p usr/bin/* .",
                shell::words(packages.iter().map(String::as_str))
            );
            shell::words(["sh", "-c", &script])
        }
    }
}

fn is_native(call: &CallKind, name: &str) -> bool {
    matches!(call, CallKind::Native { action, .. } if action == name)
}

fn quoted_path(path: &Path) -> String {
    shell::word(&path.display().to_string())
}

/// Does something to an application on its host, and waits until it is seen.
fn on_application(host: &Host, HostAct { run, seen, limit }: &HostAct) -> String {
    let line = format!(
        "({run}\n) || exit\nn=0; until timeout 10 sh -c {}; do n=$((n + 1)); [ $n -lt {} ] || exit 1; sleep 1; done",
        shell::word(seen),
        limit.as_secs().max(1)
    );
    remote::on_host(host, &format!("sh -c {}", shell::word(&line)))
}
