//! `quorate artifact`: which releases are at hand, and getting more.

use crate::{
    args::{ArtifactCommand, ArtifactFetch, Artifacts, Global, Output},
    print, site,
};
use quorate_model::{ArtifactRef, ArtifactSource};
use quorate_runner::{
    ops::{
        artifacts::{from_debian, from_web},
        release::release,
    },
    problem::Problem,
};
use serde_json::json;

pub(crate) async fn run(global: &Global, command: ArtifactCommand) -> Result<u8, Problem> {
    match command {
        ArtifactCommand::List { pack, artifacts } => {
            let setup = site::setup(global, &artifacts)?;
            show(global, &setup.artifacts(&pack.as_str().into()));
            for problem in &setup.catalog.problems {
                print::say(problem);
            }
        }
        ArtifactCommand::Fetch(args) => show(global, &[fetch(global, &args).await?]),
    }
    Ok(0)
}

async fn fetch(global: &Global, args: &ArtifactFetch) -> Result<ArtifactRef, Problem> {
    let setup = site::setup(global, &Artifacts::default())?;
    let pack = site::pack(&setup.packs, &args.pack)?;
    let wanted = release(&args.release)?;
    match (&args.url, &args.sha256) {
        (Some(url), Some(sha256)) => {
            from_web(&setup, pack, &wanted, url, sha256, &print::progress).await
        }
        _ => from_debian(&setup.cache, pack, &wanted, &print::progress).await,
    }
}

fn show(global: &Global, artifacts: &[ArtifactRef]) {
    if global.output == Output::Json {
        return print::json(&json!({ "schema": 1, "artifacts": artifacts }));
    }
    let rows: Vec<Vec<String>> = artifacts
        .iter()
        .flat_map(|artifact| artifact.files.iter().map(move |file| (artifact, file)))
        .map(|(artifact, file)| {
            vec![
                artifact.pack.to_string(),
                artifact.release.to_string(),
                file.name.clone(),
                file.size_bytes.to_string(),
                file.sha256.short().to_owned(),
                source(&artifact.source),
            ]
        })
        .collect();
    print::data(&print::table(&["PACK", "RELEASE", "FILE", "BYTES", "SHA-256", "FROM"], &rows));
}

fn source(source: &ArtifactSource) -> String {
    match source {
        ArtifactSource::Folder(folder) => folder.display().to_string(),
        ArtifactSource::Url { url, .. } => url.clone(),
        ArtifactSource::Debian { suite, packages } => {
            format!("Debian {suite}: {}", packages.join(" "))
        }
    }
}
