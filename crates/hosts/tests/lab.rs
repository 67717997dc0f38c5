//! Labs whose program is a script: what fails half-way is taken away again, and nothing else is touched.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use quorate_hosts::{
    artifacts::{Cache, Catalog, silent},
    lab::{self, Damage, Fault, LabError, LabSpec, Registry},
};
use quorate_transport::LocalTransport;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Makes an artifact folder whose `etcd` is a script.
fn artifacts(root: &Path, script: &str) -> Catalog {
    let folder = root.join("artifacts/etcd/3.4.23");
    fs::create_dir_all(&folder).unwrap();
    let etcd = folder.join("etcd");
    fs::write(&etcd, script).unwrap();
    fs::set_permissions(&etcd, fs::Permissions::from_mode(0o755)).unwrap();
    Catalog::scan(&[root.join("artifacts")])
}

async fn up(root: &Path, script: &str, dir: &Path) -> Result<(), LabError> {
    let artifact = artifacts(root, script).artifacts[0].clone();
    let (name, dir) = ("demo".to_owned(), dir.to_owned());
    let spec = LabSpec {
        name,
        dir,
        members: 3,
        tls: true,
        auth: true,
        clients: 0,
        v2_keys: 0,
        extra_args: Vec::new(),
        artifact,
    };
    let cache = Cache::open(root.join("cache")).unwrap();
    lab::up(&LocalTransport::new(), &cache, &registry(root), &spec, &silent).await.map(drop)
}

fn registry(root: &Path) -> Registry {
    Registry::new(root.join("registry"))
}

#[tokio::test]
async fn a_member_that_does_not_start_takes_the_whole_lab_away() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("labs/demo");
    let error =
        up(root.path(), "#!/bin/sh\necho 'no such flag'\nexit 1\n", &dir).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("demo-") && said.contains("no such flag"), "{said}");
    assert!(!dir.exists());
    assert!(registry(root.path()).labs().is_empty());
}

#[tokio::test]
async fn a_member_that_ends_before_it_serves_is_told_with_its_log() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("demo");
    fs::create_dir(&dir).unwrap();
    let error = up(root.path(), "#!/bin/sh\necho 'disk on fire'\nsleep 0.3\nexit 1\n", &dir)
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(said.contains("ended") && said.contains("disk on fire"), "{said}");
    assert!(dir.is_dir(), "a folder that was there before stays");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "and is empty again");
}

#[tokio::test]
async fn only_a_labs_own_folder_is_taken_away() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("precious"), "x").unwrap();
    let error =
        lab::down(&LocalTransport::new(), &registry(root.path()), root.path()).await.unwrap_err();
    assert!(matches!(error, LabError::NoLab(_)), "{error}");
    let error = up(root.path(), "#!/bin/sh\n", root.path()).await.unwrap_err();
    assert!(matches!(error, LabError::Taken(_)), "{error}");
    let damage =
        Fault::DamageArtifact { release: "3.5.16".parse().unwrap(), damage: Damage::Truncate };
    let error = lab::fault(&LocalTransport::new(), root.path(), &"demo-1".into(), &damage)
        .await
        .unwrap_err();
    assert!(matches!(error, LabError::NoLab(_)), "{error}");
    assert_eq!(fs::read_to_string(root.path().join("precious")).unwrap(), "x");
}
