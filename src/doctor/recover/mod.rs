//! Brings a home back from a restore, a set that was kept aside, or a copy: by renames on the file
//! system, with a journal, and with a way back. It never copies where a rename does, and never
//! deletes.

pub mod backup;
pub mod failover;
pub mod steps;
pub mod throughput;

use crate::error::Fault;

/// There is no file system of this id where it was looked for.
fn no_file_system(id: &str, region: &str) -> Fault {
    Fault::usage(format!("there is no file system {id} in {region}")).hint(
        "check the id and the region: `aws efs describe-file-systems` lists those of a region",
    )
}
