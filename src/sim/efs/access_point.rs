//! Access points.

use serde_json::{Value, json};

use super::file_system::FileSystem;
use super::{Call, error, no_access_point, no_file_system, reply};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::http::Reply;

/// An access point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPoint {
    /// `fsap-…`
    pub id: String,
    /// `creating`, `available`, `updating`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// The user and the group that everybody is who comes in by it.
    pub user: Option<(u32, u32)>,
    /// Its root.
    pub path: String,
    /// Owner, group and mode of that folder if it has to be made.
    pub creation: Option<(u32, u32, String)>,
}

/// `DescribeAccessPoints`: one, those of a file system, or all.
pub(super) fn describe(call: &Call<'_>) -> Reply {
    let asked = call.request.parameters();
    let all = || call.here().flat_map(|of| of.access_points.iter().map(move |it| (of, it)));
    let found: Vec<Value> = match (asked.get("AccessPointId"), asked.get("FileSystemId")) {
        (Some(_), Some(_)) => {
            let message = "only one of AccessPointId and FileSystemId can be given";
            return error(400, "BadRequest", message);
        }
        (Some(id), None) => match all().find(|(_, it)| it.id == *id) {
            Some((of, it)) => vec![shape(call, of, it)],
            None => return no_access_point(id),
        },
        (None, Some(id)) => match call.file_system(id) {
            Some(of) => of.access_points.iter().map(|it| shape(call, of, it)).collect(),
            None => return no_file_system(id),
        },
        (None, None) => all().map(|(of, it)| shape(call, of, it)).collect(),
    };
    reply(200, &json!({ "AccessPoints": found }))
}

fn shape(call: &Call<'_>, of: &FileSystem, point: &AccessPoint) -> Value {
    let mut shape = json!({
        "ClientToken": point.id,
        "Tags": [],
        "AccessPointId": point.id,
        "AccessPointArn": call.arn("access-point", &point.id),
        "FileSystemId": of.id,
        "RootDirectory": { "Path": point.path },
        "OwnerId": ACCOUNT_ID,
        "LifeCycleState": point.state,
    });
    if let Some((uid, gid)) = point.user {
        shape["PosixUser"] = json!({ "Uid": uid, "Gid": gid });
    }
    if let Some((uid, gid, mode)) = &point.creation {
        shape["RootDirectory"]["CreationInfo"] =
            json!({ "OwnerUid": uid, "OwnerGid": gid, "Permissions": mode });
    }
    shape
}
