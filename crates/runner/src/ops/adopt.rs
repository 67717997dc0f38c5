//! Adopting a running cluster that Quorate did not deploy: it is looked at, declared, and never touched.

use crate::{
    problem::{NO_ADOPTION, Problem},
    setup::unknown_pack,
};
use jiff::Timestamp;
use quorate_model::{AuthSpec, Fleet, SshSpec, TlsSpec};
use quorate_observe::{AdoptOptions, Transports, adopt};
use quorate_packs::Packs;
use quorate_transport::LocalTransport;
use std::{path::Path, sync::Arc};

/// What a person said of the cluster.
#[derive(Debug, Clone)]
pub struct AdoptRequest {
    /// The product.
    pub pack: String,
    /// One of its endpoints.
    pub endpoint: String,
    /// The name that it gets.
    pub name: String,
    /// Files of the TLS client.
    pub tls: Option<TlsSpec>,
    /// The user inside the product.
    pub auth: Option<AuthSpec>,
}

/// Gives the fleet file's text, and what a person should know.
pub async fn cluster(
    packs: &Packs,
    request: &AdoptRequest,
    fleet_file: &Path,
) -> Result<(String, Vec<String>), Problem> {
    let pack = packs
        .shared(&request.pack.as_str().into())
        .ok_or_else(|| unknown_pack(packs, &request.pack))?;
    let file = std::path::absolute(fleet_file).unwrap_or_else(|_| fleet_file.to_owned());
    let state_dir = file.parent().map(|folder| folder.join(".quorate")).unwrap_or_default();
    let options = AdoptOptions {
        endpoint: request.endpoint.clone(),
        name: request.name.as_str().into(),
        tls: request.tls.clone(),
        auth: request.auth.clone(),
        state_dir,
    };
    let here: Transports = Arc::new(|_| Arc::new(LocalTransport));
    let adopted = adopt(&pack, &here, &options, Timestamp::now()).await.map_err(|error| {
        let hint = error.hint();
        let mut problem = Problem::new(NO_ADOPTION, error.to_string());
        problem.hints.push(hint);
        problem
    })?;
    let fleet = Fleet {
        ssh: SshSpec::default(),
        name: request.name.clone(),
        artifacts: Vec::new(),
        clusters: vec![adopted.cluster],
    };
    Ok((quorate_inventory::write_fleet(&fleet), adopted.notes))
}
