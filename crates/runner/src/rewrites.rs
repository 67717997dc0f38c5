//! Services whose settings a run has rewritten: kept in the state folder until the fleet file holds them.
//!
//! Invariant: a kept service counts only while the fleet file still declares what it declared when it was kept. Whoever
//! changes the node in the fleet file has the last word.

use crate::problem::{BAD_STATE, Problem};
use quorate_model::{Cluster, ClusterName, Digest, Fleet, NodeName, ProcessSpec, ServiceSpec};
use quorate_transport::beside;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The rewritten services of a state folder: one file a node, `settings/CLUSTER/NODE.json`.
#[derive(Debug, Clone)]
pub struct Rewrites {
    folder: PathBuf,
}

/// A rewritten service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Rewrite {
    /// SHA-256 over the JSON of what the fleet file declared.
    declared_sha256: Digest,
    /// The plan that rewrote it.
    plan: Digest,
    /// The service as it was before that plan.
    before: ServiceSpec,
    /// The service as it is now.
    service: ServiceSpec,
}

impl Rewrites {
    /// Those of a state folder.
    pub fn of(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("settings") }
    }

    /// Keeps a node's rewritten service, durably. A service that the fleet file itself declares needs no keeping.
    pub fn keep(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        plan: &Digest,
        declared: &ServiceSpec,
        service: &ServiceSpec,
    ) -> Result<(), String> {
        let path = self.file(cluster, node);
        let failed = |error: io::Error| {
            format!("cannot keep the rewritten settings in {}: {error}", path.display())
        };
        if service == declared {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        }
        let known = self
            .read(cluster, node)
            .map_err(failed)?
            .filter(|known| known.declared_sha256 == digest(declared));
        let before = match known {
            Some(known) if known.plan == *plan => known.before,
            Some(known) => known.service,
            None => declared.clone(),
        };
        let rewrite = Rewrite {
            declared_sha256: digest(declared),
            plan: plan.clone(),
            before,
            service: service.clone(),
        };
        write(&path, &rewrite).map_err(failed)
    }

    /// Puts the kept services in the place of the declared ones, and says so, a note for each cluster.
    pub fn apply(&self, fleet: &mut Fleet, fleet_file: &Path) -> Result<Vec<String>, Problem> {
        let mut notes = Vec::new();
        for cluster in &mut fleet.clusters {
            let changes = self.apply_to(cluster, |rewrite| rewrite.service)?;
            if !changes.is_empty() {
                let changes: Vec<String> = changes
                    .into_iter()
                    .map(|(node, change)| format!("  {node}: {change}"))
                    .collect();
                notes.push(format!(
                    "a run has rewritten settings of cluster {}, which {} does not hold yet; the rewritten ones are used. Write them into it:\n{}",
                    cluster.name,
                    fleet_file.display(),
                    changes.join("\n"),
                ));
            }
        }
        Ok(notes)
    }

    /// A cluster as it was before a plan: what that plan has rewritten is turned back.
    pub fn before(&self, declared: &Cluster, plan: &Digest) -> Result<Cluster, Problem> {
        let mut cluster = declared.clone();
        let own =
            |rewrite: Rewrite| if rewrite.plan == *plan { rewrite.before } else { rewrite.service };
        self.apply_to(&mut cluster, own)?;
        Ok(cluster)
    }

    fn apply_to(
        &self,
        cluster: &mut Cluster,
        choose: impl Fn(Rewrite) -> ServiceSpec,
    ) -> Result<BTreeMap<NodeName, String>, Problem> {
        let mut changes = BTreeMap::new();
        for node in &mut cluster.nodes {
            let Some(declared) = &node.service else { continue };
            let kept = self.read(&cluster.name, &node.name).map_err(|error| {
                let path = self.file(&cluster.name, &node.name);
                Problem::new(BAD_STATE, format!("the rewritten settings in {} cannot be read: {error}", path.display()))
                    .hint("write the settings that the member runs with into the fleet file, and remove this file")
            })?;
            let counts = kept.filter(|kept| kept.declared_sha256 == digest(declared));
            if let Some(service) = counts.map(&choose) {
                changes.insert(node.name.clone(), difference(declared, &service));
                node.service = Some(service);
            }
        }
        Ok(changes)
    }

    fn file(&self, cluster: &ClusterName, node: &NodeName) -> PathBuf {
        self.folder.join(cluster.as_str()).join(format!("{node}.json"))
    }

    fn read(&self, cluster: &ClusterName, node: &NodeName) -> io::Result<Option<Rewrite>> {
        match fs::read(self.file(cluster, node)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn digest(service: &ServiceSpec) -> Digest {
    // A service is plain data: it always has a JSON form.
    Digest::new(hex::encode(Sha256::digest(serde_json::to_vec(service).unwrap_or_default())))
}

/// By a name of its own and a rename, so that there is never half a file.
fn write(path: &Path, rewrite: &Rewrite) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let part = beside(path, ".part");
    fs::write(&part, serde_json::to_vec_pretty(rewrite)?)?;
    // Arguments may hold what only their owner should read.
    fs::set_permissions(&part, fs::Permissions::from_mode(0o600))?;
    fs::File::open(&part)?.sync_all()?;
    fs::rename(&part, path)?;
    fs::File::open(folder)?.sync_all()
}

/// Words that went and came, as a person would change them.
fn difference(declared: &ServiceSpec, service: &ServiceSpec) -> String {
    let words = |service: &ServiceSpec| -> Vec<String> {
        // What a unit starts with stands on its host, not in the fleet file.
        let Some(ProcessSpec { argv, env, .. }) = service.process() else { return Vec::new() };
        argv.iter()
            .skip(1)
            .cloned()
            .chain(env.iter().map(|(name, value)| format!("{name}={value}")))
            .collect()
    };
    let (before, after) = (words(declared), words(service));
    let gone = before.iter().filter(|word| !after.contains(word)).map(|word| format!("- {word}"));
    let new = after.iter().filter(|word| !before.contains(word)).map(|word| format!("+ {word}"));
    gone.chain(new).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{Host, Node, Policy};
    use std::time::Duration;

    fn service(flags: &[&str]) -> ServiceSpec {
        ServiceSpec::Process(ProcessSpec {
            argv: std::iter::once("/bin/etcd")
                .chain(flags.iter().copied())
                .map(str::to_owned)
                .collect(),
            env: BTreeMap::new(),
            pid_file: "/p".into(),
            log_file: "/l".into(),
            work_dir: None,
            grace: Duration::from_secs(1),
        })
    }

    fn fleet(flags: &[&str]) -> Fleet {
        let node = Node {
            name: "a-1".into(),
            group: "server".into(),
            host: Host::Local,
            endpoints: BTreeMap::new(),
            data_dir: None,
            service: Some(service(flags)),
        };
        let cluster = Cluster {
            name: "a".into(),
            pack: "etcd".into(),
            environment: None,
            nodes: vec![node],
            tls: None,
            auth: None,
            config: Vec::new(),
            dependants: Vec::new(),
            policy: Policy::default(),
        };
        Fleet {
            name: "f".into(),
            artifacts: Vec::new(),
            clusters: vec![cluster],
            ssh: quorate_model::SshSpec::default(),
        }
    }

    fn keep(rewrites: &Rewrites, plan: &str, service: &ServiceSpec) {
        rewrites
            .keep(
                &"a".into(),
                &"a-1".into(),
                &Digest::new(plan),
                &self::service(&["--debug"]),
                service,
            )
            .unwrap();
    }

    fn applied(rewrites: &Rewrites, flags: &[&str]) -> (ServiceSpec, Vec<String>) {
        let mut fleet = fleet(flags);
        let notes = rewrites.apply(&mut fleet, Path::new("fleet.yaml")).unwrap();
        (fleet.clusters.remove(0).nodes.remove(0).service.unwrap(), notes)
    }

    #[test]
    fn a_kept_service_counts_while_the_fleet_file_says_what_it_said() {
        let state = tempfile::tempdir().unwrap();
        let rewrites = Rewrites::of(state.path());
        keep(&rewrites, "p1", &service(&["--log-level=debug"]));
        let (got, notes) = applied(&rewrites, &["--debug"]);
        assert_eq!(got, service(&["--log-level=debug"]));
        assert!(notes[0].contains("a-1: - --debug, + --log-level=debug"), "{notes:?}");
        let (got, notes) = applied(&rewrites, &["--quiet"]);
        assert_eq!((got, notes.len()), (service(&["--quiet"]), 0), "a person has the last word");
    }

    #[test]
    fn the_way_back_of_a_plan_leads_to_what_was_there_before_it() {
        let state = tempfile::tempdir().unwrap();
        let rewrites = Rewrites::of(state.path());
        keep(&rewrites, "p1", &service(&["--one"]));
        keep(&rewrites, "p2", &service(&["--two"]));
        keep(&rewrites, "p2", &service(&["--three"]));
        let declared = fleet(&["--debug"]).clusters.remove(0);
        let before = |plan: &str| {
            rewrites.before(&declared, &Digest::new(plan)).unwrap().nodes.remove(0).service.unwrap()
        };
        assert_eq!(before("p2"), service(&["--one"]), "two hops of one plan count as one");
        assert_eq!(before("p9"), service(&["--three"]), "another plan has changed nothing");
        keep(&rewrites, "p3", &service(&["--debug"]));
        assert_eq!(
            applied(&rewrites, &["--debug"]).1.len(),
            0,
            "back to what is declared: nothing to keep"
        );
    }

    #[test]
    fn a_damaged_file_is_named_and_stops_everything() {
        let state = tempfile::tempdir().unwrap();
        let rewrites = Rewrites::of(state.path());
        keep(&rewrites, "p1", &service(&["--one"]));
        fs::write(state.path().join("settings/a/a-1.json"), "{").unwrap();
        let problem =
            rewrites.apply(&mut fleet(&["--debug"]), Path::new("fleet.yaml")).unwrap_err();
        assert_eq!(problem.code, BAD_STATE);
        assert!(problem.text.contains("a-1.json"), "{problem}");
    }
}
