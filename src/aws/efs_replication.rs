//! EFS: a file system that is copied to another, which nobody can write until that ends.

use aws_config::SdkConfig;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::ReplicationConfigurationDescription;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Failure;

/// A file system, and where it is copied to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replication {
    /// The one that is written: its id.
    pub source: String,
    /// Its region.
    pub source_region: String,
    /// The copies. AWS allows one today.
    pub destinations: Vec<Destination>,
}

/// A copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Its id.
    pub id: String,
    /// Its region.
    pub region: String,
    /// `ENABLED`, `ENABLING`, `DELETING`, `ERROR`, `PAUSED` or `PAUSING`.
    pub status: String,
    /// What AWS says of that.
    pub message: Option<String>,
    /// Everything that was written before this moment is in it; nothing before the first copy is
    /// whole.
    pub synced: Option<Timestamp>,
}

impl Replication {
    /// The copy of this id, if it is one.
    pub fn copy(&self, id: &str) -> Option<&Destination> {
        self.destinations.iter().find(|it| it.id == id)
    }
}

/// The replication that a file system takes part in, as the source or as the copy; nothing if it does
/// not.
pub async fn replication(config: &SdkConfig, id: &str) -> Result<Option<Replication>, Failure> {
    const CALL: &str = "elasticfilesystem:DescribeReplicationConfigurations";
    let call = Client::new(config).describe_replication_configurations().file_system_id(id);
    match call.send().await.map_err(|error| Failure::new(CALL, &error)) {
        Err(failure) if failure.code() == Some("ReplicationNotFound") => Ok(None),
        answer => Ok(answer?.replications().first().map(read)),
    }
}

/// Ends the replication of a source: its copy becomes a file system that can be written. Asked of the
/// region of the source; where that is down, of the copy's, with the source's id.
pub async fn end(config: &SdkConfig, source: &str) -> Result<(), Failure> {
    const CALL: &str = "elasticfilesystem:DeleteReplicationConfiguration";
    let call = Client::new(config).delete_replication_configuration().source_file_system_id(source);
    call.send().await.map(|_| ()).map_err(|error| Failure::new(CALL, &error))
}

fn read(found: &ReplicationConfigurationDescription) -> Replication {
    let destinations = found.destinations().iter().map(|it| Destination {
        id: it.file_system_id().to_owned(),
        region: it.region().to_owned(),
        status: it.status().as_str().to_owned(),
        message: it.status_message().map(str::to_owned),
        synced: it
            .last_replicated_timestamp()
            .and_then(|at| Timestamp::from_second(at.secs()).ok()),
    });
    Replication {
        source: found.source_file_system_id().to_owned(),
        source_region: found.source_file_system_region().to_owned(),
        destinations: destinations.collect(),
    }
}
