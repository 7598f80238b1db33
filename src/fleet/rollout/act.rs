//! Does to AWS what was decided. Each may be done twice without harm.

use aws_config::SdkConfig;
use jiff::Timestamp;

use super::journal::Journal;
use super::look::description;
use super::next::Act;
use super::quiet::{CANCEL, QUIET, TAG};
use super::record::{self, Record};
use super::{Strategy, Way, lock};
use crate::aws::asg::refresh::{Manner, Wanted};
use crate::aws::asg::{process, refresh};
use crate::aws::{Failure, channel, launch_template, ssm};
use crate::host::Role;

/// Of a controller there is never a second one.
const TERMINATE_FIRST: Manner = Manner::Rolling { least: 0, most: 100 };

/// Does it. Returns what the journal is to say of it, where that is more than can be seen.
pub(super) async fn perform(
    config: &SdkConfig,
    journal: &Journal,
    act: &Act,
    who: &str,
) -> Result<Option<Box<Journal>>, Failure> {
    let order = &journal.order;
    let group = &order.group;
    match act {
        Act::AddVersion => return add_version(config, journal).await.map(Some),
        Act::Start(way) => return start(config, journal, *way).await.map(Some),
        Act::Suspend(processes) => process::suspend(config, group, processes).await?,
        Act::Resume(processes) => process::resume(config, group, processes).await?,
        Act::Quiet(host) => drop(channel::say(config, host, TAG, QUIET).await?),
        Act::Unquiet(host) => drop(channel::say(config, host, TAG, CANCEL).await?),
        Act::Untag(host) => drop(channel::clear(config, host, TAG).await?),
        Act::RollBack => refresh::roll_back(config, group).await?,
        Act::Cancel => refresh::cancel(config, group).await?,
        Act::SetDefault => {
            let number = order.to.version.unwrap_or_default();
            launch_template::set_default(config, &order.to.template, number).await?;
        }
        Act::Point => record::point(config, order).await?,
        Act::Record => {
            let record = Record::of(journal, who, Timestamp::now());
            record::write(config, group, &record).await?;
        }
        Act::Unlock => ssm::remove(config, &lock::parameter(group)).await?,
    }
    Ok(None)
}

async fn add_version(config: &SdkConfig, journal: &Journal) -> Result<Box<Journal>, Failure> {
    let order = &journal.order;
    let made = launch_template::add_version(
        config,
        &order.to.template,
        order.from.version.unwrap_or_default(),
        &order.to.image,
        &description(&journal.rollout),
        &format!("hostkit-{}", journal.rollout),
    )
    .await?;
    let mut noted = journal.clone();
    noted.order.to.version = Some(made.number);
    Ok(Box::new(noted))
}

async fn start(config: &SdkConfig, journal: &Journal, way: Way) -> Result<Box<Journal>, Failure> {
    let order = &journal.order;
    let side = match way {
        Way::Forward => &order.to,
        Way::Back => &order.from,
    };
    let manner = match order.strategy {
        Strategy::TerminateFirst => TERMINATE_FIRST,
        Strategy::Rolling => {
            let (least, most) = order.crowd.bounds();
            Manner::Rolling { least, most }
        }
        Strategy::ReplaceRootVolume => Manner::RootVolume,
    };
    let wanted = Wanted {
        group: &order.group,
        template: &side.template,
        version: side.version.unwrap_or_default(),
        image: &side.image,
        manner,
        // There is nothing further back to go to.
        auto_rollback: way == Way::Forward,
        protected: order.crowd.protected,
        // What fires because of the new version would end the way back, too.
        alarms: if way == Way::Forward { &order.alarms } else { &[] },
        // A controller is in service when its launch hook lets it, and proves itself. How many there
        // are is a matter of how warm each is.
        warmup: (order.role == Role::Controller).then_some(0),
    };
    let id = refresh::start(config, &wanted).await?;
    let mut noted = journal.clone();
    match way {
        Way::Forward => noted.forward.id = Some(id),
        Way::Back => noted.back.id = Some(id),
    }
    Ok(Box::new(noted))
}
