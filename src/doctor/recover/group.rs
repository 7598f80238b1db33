//! What the Auto Scaling group would do to a host without Jenkins: suspended, and resumed by exactly
//! the list in the journal.

use aws_config::SdkConfig;

use crate::aws::Failure;
use crate::aws::asg::{self, process};
use crate::error::Fault;
use crate::lease::recovery::Suspension;

use super::Setting;

/// What would replace or move a host that does not serve.
pub(super) const PROCESSES: [&str; 3] = ["HealthCheck", "ReplaceUnhealthy", "AZRebalance"];

/// What the group of this host does, and is to leave: none where the host is in none.
pub(super) async fn look(setting: &Setting<'_>) -> Result<Option<Suspension>, Fault> {
    let config = setting.aws.as_ref().map_err(|why| cannot("is not known", why, "GROUP"))?;
    let name = if let Some(name) = &setting.order.group {
        name.clone()
    } else {
        let Some(id) = setting.order.me.instance_id.as_deref() else { return Ok(None) };
        match asg::membership(config, id).await {
            Ok(None) => return Ok(None),
            Ok(Some(member)) => member.group,
            Err(failure) => return Err(cannot("is not known", &failure.to_string(), "GROUP")),
        }
    };
    let group = asg::describe(config, &name).await;
    let group = group.map_err(|failure| cannot("cannot be asked", &failure.to_string(), &name))?;
    let Some(group) = group else { return Ok(None) };
    let does = PROCESSES.iter().filter(|process| !group.suspends(process));
    Ok(Some(Suspension { name, processes: does.map(|it| (*it).to_owned()).collect() }))
}

/// Has the group leave this host alone. Done twice, it changes nothing.
pub(super) async fn suspend(setting: &Setting<'_>, group: &Suspension) -> Result<(), Fault> {
    if group.processes.is_empty() {
        return Ok(());
    }
    let config = setting.aws.as_ref().map_err(|why| cannot("cannot be told", why, &group.name))?;
    let told = process::suspend(config, &group.name, &group.processes).await;
    told.map_err(|failure| cannot("cannot be told", &failure.to_string(), &group.name))
}

/// Has it go on with what it did before, and with nothing else.
pub(super) async fn resume(setting: &Setting<'_>, group: &Suspension) -> Result<(), Fault> {
    if group.processes.is_empty() {
        return Ok(());
    }
    let failed = |why: &str| {
        Fault::aws(format!(
            "Jenkins serves the home, and the group {} could not be told to go on: {why}",
            group.name
        ))
        .hint(format!(
            "hostkit efs recover tries it again; or, with credentials of your own,\n  {}\nthen \
             hostkit efs recover --leave-group",
            line("resume", &group.name, &group.processes)
        ))
    };
    let config = setting.aws.as_ref().map_err(|why| failed(why))?;
    heal(setting, config, &group.name).await;
    let told = process::resume(config, &group.name, &group.processes).await;
    told.map_err(|failure| failed(&failure.to_string()))
}

/// A boot that found no home may have told the group that this host is unhealthy. That lasts until
/// somebody says otherwise, and this host would be replaced as soon as the group goes on.
async fn heal(setting: &Setting<'_>, config: &SdkConfig, group: &str) {
    let Some(id) = setting.order.me.instance_id.as_deref() else { return };
    let healed = async {
        let group = asg::describe(config, group).await?;
        let ill = group.is_some_and(|it| it.members.iter().any(|one| one.id == id && !one.healthy));
        if ill {
            asg::set_healthy(config, id).await?;
        }
        Ok::<_, Failure>(ill)
    };
    match healed.await {
        Ok(true) => setting.log("the group held this host for unhealthy, and is told otherwise"),
        Ok(false) => {}
        Err(failure) => {
            setting.log(format!("whether the group finds this host healthy: {failure}"));
        }
    }
}

fn cannot(what: &str, why: &str, name: &str) -> Fault {
    let all: Vec<_> = PROCESSES.iter().map(|it| (*it).to_owned()).collect();
    Fault::aws(format!(
        "the group {what}, and it would replace a host on which Jenkins is down: {why}"
    ))
    .hint(format!(
        "with credentials of your own,\n  {}\nthen the same command with --leave-group, and \
         resume-processes afterwards",
        line("suspend", name, &all)
    ))
}

fn line(verb: &str, group: &str, processes: &[String]) -> String {
    format!(
        "aws autoscaling {verb}-processes --auto-scaling-group-name {group} --scaling-processes {}",
        processes.join(" ")
    )
}
