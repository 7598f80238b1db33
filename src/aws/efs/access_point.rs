//! A way into a file system that fixes who one is there, and below which folder.

use aws_config::SdkConfig;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::AccessPointDescription;
use serde::{Deserialize, Serialize};

use crate::aws::Failure;

/// Who everybody is who comes in by an access point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosixUser {
    /// The user's number.
    pub uid: i64,
    /// The number of its group.
    pub gid: i64,
    /// Further groups.
    pub groups: Vec<i64>,
}

/// How the root folder is made if it is not there at the first mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creation {
    /// Whose it will be.
    pub uid: i64,
    /// The group.
    pub gid: i64,
    /// Its mode, in octal: `0755`.
    pub mode: String,
}

/// An access point, as EFS describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPoint {
    /// `fsap-…`
    pub id: String,
    /// Its ARN; empty where AWS did not say it.
    pub arn: String,
    /// The tag `Name`.
    pub name: Option<String>,
    /// The file system that it leads into.
    pub file_system: String,
    /// `creating`, `available`, `updating`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// Who everybody is; nothing where each stays who he is.
    pub user: Option<PosixUser>,
    /// The folder that is its root: `/` where nothing was said.
    pub path: String,
    /// How that folder is made; nothing where it must be there.
    pub creation: Option<Creation>,
}

/// An access point; nothing if there is none of this id in this region.
pub async fn access_point(config: &SdkConfig, id: &str) -> Result<Option<AccessPoint>, Failure> {
    const CALL: &str = "elasticfilesystem:DescribeAccessPoints";
    let answer = Client::new(config).describe_access_points().access_point_id(id).send().await;
    match answer.map_err(|error| Failure::new(CALL, &error)) {
        Err(failure) if failure.code() == Some("AccessPointNotFound") => Ok(None),
        answer => Ok(answer?.access_points().first().map(read)),
    }
}

/// The access points of a file system: the first hundred.
pub async fn access_points(config: &SdkConfig, id: &str) -> Result<Vec<AccessPoint>, Failure> {
    const CALL: &str = "elasticfilesystem:DescribeAccessPoints";
    let answer = Client::new(config).describe_access_points().file_system_id(id).send().await;
    let answer = answer.map_err(|error| Failure::new(CALL, &error))?;
    Ok(answer.access_points().iter().map(read).collect())
}

fn read(point: &AccessPointDescription) -> AccessPoint {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let root = point.root_directory();
    let creation = root.and_then(|root| root.creation_info());
    AccessPoint {
        id: text(point.access_point_id()),
        arn: text(point.access_point_arn()),
        name: point.name().map(str::to_owned),
        file_system: text(point.file_system_id()),
        state: point.life_cycle_state().map_or("", |it| it.as_str()).to_owned(),
        user: point.posix_user().map(|user| PosixUser {
            uid: user.uid(),
            gid: user.gid(),
            groups: user.secondary_gids().to_vec(),
        }),
        path: root.and_then(|root| root.path()).unwrap_or("/").to_owned(),
        creation: creation.map(|it| Creation {
            uid: it.owner_uid(),
            gid: it.owner_gid(),
            mode: it.permissions().to_owned(),
        }),
    }
}
