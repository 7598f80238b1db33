//! What a group launches: how many, and by which version of which launch template.

use super::{Mend, Subject};
use crate::aws::asg::{Group, Launches};
use crate::doctor::{Finding, Verdict};

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let all = [deleting(subject), size(subject), version(subject), mixed(subject), drift(subject)];
    all.into_iter().flatten().collect()
}

fn deleting(subject: &Subject) -> Option<Finding> {
    let status = subject.group.status.as_deref()?;
    Some(Finding::new("group.status", Verdict::Fail, "the group is being deleted").shown_by(status))
}

#[expect(clippy::unnecessary_wraps, reason = "all checks have one shape")]
fn size(subject: &Subject) -> Option<Finding> {
    const ID: &str = "group.size";
    let Group { min, max, desired, .. } = subject.group;
    let evidence = format!("min {min}, desired {desired}, max {max}");
    if !subject.is_controller() {
        let empty = (desired == 0).then(|| {
            Finding::new(ID, Verdict::Warn, "the group has no host: nothing would be replaced")
                .shown_by(&evidence)
        });
        return Some(empty.unwrap_or_else(|| Finding::new(ID, Verdict::Pass, evidence)));
    }
    if (min, max, desired) == (1, 1, 1) {
        return Some(Finding::new(ID, Verdict::Pass, "one controller, never more: 1/1/1"));
    }
    let says = if max > 1 {
        "the group may start a second controller beside the first"
    } else {
        "the group does not keep one controller up"
    };
    let fix = subject.mend().update("--min-size 1 --max-size 1 --desired-capacity 1");
    Some(Finding::new(ID, Verdict::Fail, says).shown_by(evidence).mended_by(fix))
}

#[expect(clippy::unnecessary_wraps, reason = "all checks have one shape")]
fn version(subject: &Subject) -> Option<Finding> {
    const ID: &str = "group.version";
    let group = &subject.group;
    let Some(launches) = &group.template else {
        let says = match &group.configuration {
            Some(name) => format!("the group launches by the launch configuration {name}"),
            None => "the group names nothing that it launches".to_owned(),
        };
        let fix = "make a launch template (`aws ec2 create-launch-template`), and have the group launch \
                   by a version of it, by its number";
        return Some(Finding::new(ID, Verdict::Fail, says).mended_by(fix));
    };
    if let Some(number) = launches.number() {
        let says = format!("{} version {number}", launches.called());
        return Some(Finding::new(ID, Verdict::Pass, says));
    }
    let said = if launches.version.is_empty() { "$Default" } else { &launches.version };
    let says = format!(
        "the group launches by {said}: whoever adds a version or moves the default changes what the \
         next host is, and AWS does not roll such a refresh back"
    );
    let finding = Finding::new(ID, Verdict::Fail, says)
        .shown_by(format!("launch template {}, version {said}", launches.called()));
    Some(finding.mended_by(pin(subject, launches)))
}

/// Has the group launch by the number of what it launches now.
fn pin(subject: &Subject, launches: &Launches) -> String {
    let runs = subject.group.in_service().find_map(|it| it.template.as_ref()?.number());
    let resolved = subject.template.as_ref().ok().and_then(|it| it.as_ref());
    let number = runs.or_else(|| resolved.map(|(version, _)| version.number));
    let number = number.map_or_else(|| "NUMBER".to_owned(), |number| number.to_string());
    launch_by(&subject.mend(), launches, &number)
}

fn launch_by(mend: &Mend<'_>, launches: &Launches, number: &str) -> String {
    let named = if launches.id.is_empty() {
        format!("LaunchTemplateName={}", launches.name)
    } else {
        format!("LaunchTemplateId={}", launches.id)
    };
    mend.update(&format!("--launch-template {named},Version={number}"))
}

fn mixed(subject: &Subject) -> Option<Finding> {
    const ID: &str = "group.mixed";
    let group = &subject.group;
    if !group.mixed {
        return None;
    }
    let own = |it: &&crate::aws::asg::Override| it.template.is_some();
    let kinds = group.overrides.iter().filter_map(|it| it.instance_type.clone());
    let evidence = kinds.collect::<Vec<_>>().join(", ");
    if let Some(other) = group.overrides.iter().find(own) {
        let what = other.instance_type.as_deref().unwrap_or("one kind");
        let says = format!(
            "the group launches {what} by a template of its own, which another image in the group's \
             template does not change"
        );
        return Some(
            Finding::new(ID, Verdict::Fail, says)
                .shown_by(evidence)
                .mended_by("take LaunchTemplateSpecification out of the overrides"),
        );
    }
    let serving = subject.template.as_ref().ok().and_then(|it| it.as_ref()?.0.image.as_deref());
    let other =
        |it: &&crate::aws::asg::Override| it.image.is_some() && it.image.as_deref() != serving;
    if let Some(one) = group.overrides.iter().find(other) {
        let what = one.instance_type.as_deref().unwrap_or("one kind");
        let image = one.image.as_deref().unwrap_or_default();
        let says = format!(
            "the group launches {what} by an image of its own, {image}: a refresh gives all kinds the \
             same, and a way back would not bring it again"
        );
        return Some(
            Finding::new(ID, Verdict::Fail, says)
                .shown_by(evidence)
                .mended_by("take ImageId out of the overrides, or have a group for each image"),
        );
    }
    let says = "the group launches several kinds of instances";
    Some(Finding::new(ID, Verdict::Pass, says).shown_by(evidence))
}

/// Whether what runs is what the group would launch again.
fn drift(subject: &Subject) -> Option<Finding> {
    const ID: &str = "group.drift";
    let group = &subject.group;
    let launches = group.template.as_ref()?;
    let resolved = subject.template.as_ref().ok().and_then(|it| it.as_ref());
    let number = launches.number().or_else(|| resolved.map(|(version, _)| version.number))?;
    let others: Vec<_> = group
        .in_service()
        .filter_map(|it| Some((it, it.template.as_ref()?.number()?)))
        .filter(|(_, has)| *has != number)
        .collect();
    let Some(&(_, has)) = others.first() else {
        return Some(Finding::new(ID, Verdict::Pass, "what runs is what would be launched again"));
    };
    let says = format!(
        "the next host would not be what serves now: the group launches version {number}, and nobody \
         has proven that"
    );
    // Hosts beside each other differ while somebody rolls them, and do no harm.
    let verdict = if subject.is_controller() { Verdict::Fail } else { Verdict::Warn };
    let seen = others.iter().map(|(it, has)| format!("{} was launched by version {has}", it.id));
    let finding = Finding::new(ID, verdict, says);
    let finding = seen.fold(finding, Finding::shown_by);
    Some(finding.mended_by(launch_by(&subject.mend(), launches, &has.to_string())))
}
