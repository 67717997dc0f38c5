//! Starts members of a bed in another way than the lab does: with their settings in a file, in their environment, or
//! with their logs elsewhere.

use crate::Bed;
use quorate_hosts::service;
use quorate_model::{Fleet, ProcessSpec, ServiceSpec};
use quorate_packs::Packs;
use quorate_transport::LocalTransport;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

type Env = BTreeMap<String, String>;

impl Bed {
    /// The configuration file of a node, once [`Bed::by_file`] has made it.
    pub fn config_file(&self, node: &str) -> PathBuf {
        self.dir().join("members").join(node).join("etcd.yaml")
    }
    /// Starts every member again with its flags in a configuration file, these lines before them.
    pub fn by_file(&self, lines: &str) {
        let change = |node: &str, argv: &mut Vec<String>, _: &mut Env| {
            let file = self.config_file(node);
            let mut text = lines.to_owned();
            for word in argv.drain(1..) {
                let (key, value) =
                    word.trim_start_matches('-').split_once('=').expect("--key=value");
                text.push_str(&match value {
                    "true" | "false" => format!("{key}: {value}\n"),
                    _ => format!("{key}: '{value}'\n"),
                });
            }
            fs::write(&file, text).expect("a configuration file");
            argv.push(format!("--config-file={}", file.display()));
        };
        self.started_by(change, |_| ());
    }
    /// Starts every member again with its flags as variables.
    pub fn by_env(&self) {
        let change = |_: &str, argv: &mut Vec<String>, env: &mut Env| {
            for word in argv.drain(1..) {
                let (key, value) =
                    word.trim_start_matches('-').split_once('=').expect("--key=value");
                env.insert(format!("ETCD_{}", key.to_uppercase().replace('-', "_")), value.into());
            }
        };
        self.started_by(change, |_| ());
    }
    /// Starts every member again with a folder of its own for its log.
    pub fn by_log_folder(&self) {
        let own = |node: &str| self.dir().join("members").join(node);
        let log = |node: &str| own(node).join("wal");
        self.started_by(
            |node, argv, _| argv.push(format!("--wal-dir={}", log(node).display())),
            |node| fs::rename(own(node).join("data/member/wal"), log(node)).expect("its log"),
        );
    }

    fn started_by(
        &self,
        change: impl Fn(&str, &mut Vec<String>, &mut Env),
        while_down: impl Fn(&str),
    ) {
        let packs = Packs::builtin();
        let text = fs::read_to_string(self.fleet()).expect("the fleet file");
        let mut fleet: Fleet =
            quorate_inventory::read_fleet("fleet.yaml", &text, &self.dir(), packs)
                .expect("the lab's own fleet");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let services = fleet.clusters.iter_mut().flat_map(|cluster| &mut cluster.nodes);
        for (name, spec) in
            services.filter_map(|node| Some((node.name.clone(), node.service.as_mut()?)))
        {
            let before = spec.clone();
            let ServiceSpec::Process(ProcessSpec { argv, env, .. }) = spec else {
                panic!("a lab runs plain processes");
            };
            change(name.as_str(), argv, env);
            runtime.block_on(async {
                service::stop(&LocalTransport, &before).await.into_result().expect("it stops");
                while_down(name.as_str());
                service::start(&LocalTransport, spec).await.into_result().expect("it starts");
            });
        }
        fs::write(self.fleet(), quorate_inventory::write_fleet(&fleet)).expect("the fleet file");
        crate::until(std::time::Duration::from_secs(30), "all members serve again", || {
            let seen = self.detect();
            let nodes = seen["nodes"].as_array().cloned().unwrap_or_default();
            nodes.len() == self.nodes().len() && nodes.iter().all(|node| node["healthy"] == true)
        });
    }
}

/// Whether some file below a folder, or the file itself, holds a text.
pub fn holds(path: &Path, text: &str) -> bool {
    let files = crate::files(path).into_iter().map(|file| path.join(file));
    files.chain([path.to_owned()]).any(|file| {
        fs::read(file).is_ok_and(|content| {
            content.windows(text.len()).any(|window| window == text.as_bytes())
        })
    })
}
