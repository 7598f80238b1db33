//! The image's software meets the home: its plugins are put there, and what was there is kept aside.
//! The work is the child's.

use std::sync::Arc;

use super::context::Context;
use super::home::{self, MOUNT_POINT, OWNER};
use super::inside::{self, Answer, Request};
use crate::event::Outcome;

/// Where the image has them.
const IN_THE_IMAGE: &str = "/usr/share/hostkit/jenkins/plugins";

const STEP: &str = "plugins";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let machine = &context.machine;
    let from = Some(machine.path(IN_THE_IMAGE)).filter(|folder| folder.is_dir());
    let brings_none = from.is_none();
    let request = Request::Plugins {
        from,
        mount_point: machine.path(MOUNT_POINT),
        user: OWNER.to_owned(),
        jenkins: home::jenkins_of_the_image(&context, STEP),
        image: context.must_know().identity.image_id.clone(),
    };
    let answer = inside::ask(&machine.runner, &request).await?;
    let Answer::Done { changed, told } = answer else {
        anyhow::bail!("the child answered {answer:?}");
    };
    for line in told {
        context.events.log(STEP, line);
    }
    if brings_none {
        return Ok(Outcome::Skipped("the image brings none".to_owned()));
    }
    Ok(Outcome::changed(changed))
}
