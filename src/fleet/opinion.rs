//! What only AWS can tell of images that are about to be removed: its own search for references, and
//! who else may launch them. Asked of few, because most of it takes a call for each image.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use futures::{StreamExt as _, TryStreamExt as _};

use super::references::References;
use super::{CALLS, refused};
use crate::aws::Failure;
use crate::aws::inventory::{self, Sharing};
use crate::aws::operator::region;
use crate::error::Fault;

/// How it is said that there is no such search: by a region, or by a stand-in for AWS.
const UNKNOWN: &[&str] = &["InvalidAction", "UnknownOperation", "UnsupportedOperation"];

/// Asks AWS what it knows to use these images. What a person should know is returned where there is
/// no answer: hostkit's own search is enough, and the permission is often not given.
pub(super) async fn second_opinion(
    config: &SdkConfig,
    images: &[String],
    references: &mut References,
    role: &str,
) -> Result<Option<String>, Fault> {
    let asked = images.chunks(inventory::REFERENCES).map(|ids| inventory::references(config, ids));
    let answers = futures::stream::iter(asked).buffer_unordered(CALLS).try_collect::<Vec<_>>();
    let failure = match answers.await {
        Ok(answers) => {
            for arns in &answers {
                references.add_second_opinion(arns);
            }
            return Ok(None);
        }
        Err(failure) => failure,
    };
    let why = if failure.is_denied() {
        "is not allowed"
    } else if is_unknown(&failure) {
        "is not known"
    } else {
        return Err(refused(&failure, role));
    };
    Ok(Some(format!(
        "ec2:DescribeImageReferences {why} in {}: hostkit's own search for references counts alone",
        region(config)
    )))
}

fn is_unknown(failure: &Failure) -> bool {
    failure.code().is_some_and(|code| UNKNOWN.iter().any(|unknown| code.contains(unknown)))
}

/// Who else may launch these images.
pub async fn sharing(
    config: &SdkConfig,
    images: &[String],
    role: &str,
) -> Result<BTreeMap<String, Sharing>, Fault> {
    let asked = images.iter().map(|id| async move {
        let sharing = inventory::sharing(config, id).await;
        sharing.map(|sharing| (id.clone(), sharing)).map_err(|failure| refused(&failure, role))
    });
    futures::stream::iter(asked).buffer_unordered(CALLS).try_collect().await
}
