//! Whether the image boots where the group launches it.

use crate::aws::image::Image;
use crate::aws::instance_type::Type;
use crate::aws::launch_template::{Data, Version};
use crate::doctor::{Finding, Verdict};
use crate::fleet::rollout::Ask;
use crate::fleet::rollout::survey::Survey;
use crate::host::{Efs, Layer, section};

pub(super) fn check(survey: &Survey, _: &Ask) -> Vec<Finding> {
    let mut all: Vec<_> = template(survey).into_iter().collect();
    let Some(image) = survey.new_image() else { return all };
    match &survey.types {
        Err(gap) => all.push(Finding::untold("image.fits", "whether the image fits", gap)),
        Ok(types) => all.push(types_fit(types, image)),
    }
    // What the hosts would be launched with, which for a way back is not what serves.
    if let Some((version, data)) = survey.launched() {
        all.extend(disk(survey, image, version, data));
        all.extend(metadata(survey, data));
        all.extend(tokens(survey, image, data));
        all.extend(home(survey, version, data));
    }
    all
}

fn template(survey: &Survey) -> Option<Finding> {
    const ID: &str = "template.image";
    let subject = &survey.subject;
    let launches = subject.group.template.as_ref()?;
    let (version, _) = match &subject.template {
        Err(gap) => return Some(Finding::untold(ID, "what the group launches", gap)),
        Ok(None) => {
            let says = format!(
                "the group launches by {} version {}, and there is no such version: no host can be \
                 replaced",
                launches.called(),
                launches.version
            );
            return Some(Finding::new(ID, Verdict::Fail, says));
        }
        Ok(Some(both)) => both,
    };
    let number = version.number;
    match version.image.as_deref() {
        Some(image) if image.starts_with("resolve:ssm:") => {
            let says = format!(
                "version {number} names its image by a parameter: what the next host is changes with \
                 it, and AWS does not roll such a refresh back"
            );
            let serving = subject.group.in_service().next();
            let host = serving.map_or("INSTANCE", |member| member.id.as_str());
            let (id, region) = (&version.template, &subject.region);
            Some(
                Finding::new(ID, Verdict::Fail, says)
                    .shown_by(image)
                    .mended_by(format!(
                        "aws ec2 describe-instances --instance-ids {host} --query \
                         Reservations[].Instances[].ImageId --region {region}"
                    ))
                    .mended_by(format!(
                        "aws ec2 create-launch-template-version --launch-template-id {id} \
                         --source-version {number} --launch-template-data ImageId=ami-… --region {region}"
                    ))
                    .mended_by("then have the group launch by that version"),
            )
        }
        Some(image) if subject.image == Ok(None) => {
            let says = format!(
                "the image that serves, {image}, is gone: a host that dies is not replaced, and there \
                 is no way back"
            );
            Some(Finding::new(ID, Verdict::Warn, says))
        }
        Some(_) => None,
        None => {
            let says = format!("version {number} of {} names no image", version.template);
            Some(Finding::new(ID, Verdict::Fail, says))
        }
    }
}

fn types_fit(types: &[Type], image: &Image) -> Finding {
    const ID: &str = "image.fits";
    let misfits: Vec<_> = types.iter().flat_map(|it| misfits(it, image)).collect();
    let names: Vec<_> = types.iter().map(|it| it.name.as_str()).collect();
    if types.is_empty() {
        let says = "on which types of instances it runs is not known";
        return Finding::new(ID, Verdict::Skip, says);
    }
    let Some((says, _)) = misfits.first() else {
        return Finding::new(ID, Verdict::Pass, format!("it boots on {}", names.join(", ")));
    };
    let finding = Finding::new(ID, Verdict::Fail, says.clone());
    let finding = misfits.iter().fold(finding, |it, (_, evidence)| it.shown_by(evidence.clone()));
    finding.mended_by(
        "take an image that was baked for that type, or have the launch template name another type",
    )
}

/// Why an image does not run on a type, and what shows it.
fn misfits(on: &Type, image: &Image) -> Vec<(String, String)> {
    let Image { id, architecture, .. } = image;
    let name = &on.name;
    let mut all = Vec::new();
    if !on.architectures.is_empty() && !on.architectures.contains(architecture) {
        let theirs = on.architectures.join(", ");
        all.push((
            format!("{id} is for another processor than {name}"),
            format!("the image is {architecture}, {name} is {theirs}"),
        ));
    }
    let mode = image.boot_mode.as_deref().unwrap_or("legacy-bios");
    let fits = match mode {
        "uefi-preferred" => true,
        mode => on.boot_modes.is_empty() || on.boot_modes.iter().any(|it| it == mode),
    };
    if !fits {
        let theirs = on.boot_modes.join(", ");
        all.push((
            format!("{id} needs another firmware than {name} has"),
            format!("the image boots by {mode}, {name} by {theirs}"),
        ));
    }
    if on.needs_ena && !image.ena {
        all.push((
            format!("{id} has no driver for the network of {name}"),
            format!("{name} needs ENA, and the image does not say that it has it"),
        ));
    }
    all
}

/// The disk that the template says against that of the image: it must not be smaller, and it must be
/// the one that the image boots from.
fn disk(survey: &Survey, image: &Image, version: &Version, data: &Data) -> Option<Finding> {
    const ID: &str = "template.disk";
    let root = image.root()?;
    let (number, device) = (version.number, &root.device);
    if let Some((_, Some(said))) = data.disks.iter().find(|(name, _)| name == device) {
        let wanted = root.gib.unwrap_or(0);
        if *said < wanted {
            let says = format!(
                "version {number} has a root disk of {said} GiB, and the image needs {wanted} GiB"
            );
            return Some(Finding::new(ID, Verdict::Fail, says).shown_by(device).mended_by(format!(
                "make a version with VolumeSize={wanted} or more for {device}, and have the group \
                 launch by it"
            )));
        }
        return Some(Finding::new(ID, Verdict::Pass, format!("{device} has {said} GiB")));
    }
    // What was meant for the root disk becomes a second, empty one.
    let before = survey.old_image().map(|it| it.root_device.as_str())?;
    let meant = data.disks.iter().any(|(name, _)| name == before);
    (meant && before != device).then(|| {
        let says = format!(
            "version {number} says of {before} how large the root disk is, and the image boots from \
             {device}: its hosts get the image's own size, and a second disk"
        );
        Finding::new(ID, Verdict::Fail, says)
            .mended_by(format!("make a version that names {device}, and have the group launch by it"))
    })
}

/// Whether the host can ask the metadata service, and is told its tags.
fn metadata(survey: &Survey, data: &Data) -> Option<Finding> {
    const ID: &str = "template.metadata";
    if data.metadata_off {
        let says = "the launch template switches the metadata service off: a host does not know who it is, \
                    and has no credentials";
        return Some(Finding::new(ID, Verdict::Fail, says).mended_by(
            "make a version with MetadataOptions={HttpEndpoint=enabled}, and have the group launch by it",
        ));
    }
    if !survey.subject.is_controller() || data.tags_in_metadata {
        return None;
    }
    let says = "the launch template does not say that hosts are told their tags: where the account does \
                not either, the next upgrade cannot quiet Jenkins";
    Some(Finding::new(ID, Verdict::Warn, says).mended_by(
        "make a version with MetadataOptions={InstanceMetadataTags=enabled}, and have the group launch \
         by it",
    ))
}

/// Whether the metadata service wants a token of hosts of this image as of those that serve, where the
/// launch template leaves that to the image.
fn tokens(survey: &Survey, image: &Image, data: &Data) -> Option<Finding> {
    const ID: &str = "image.metadata";
    let old = survey.old_image()?;
    if data.tokens_required.is_some() || old.tokens == image.tokens {
        return None;
    }
    let says = if image.tokens {
        "the metadata service wants a token of its hosts, and of those that serve it does not: what asks \
         without one gets no answer"
    } else {
        "the metadata service wants no token of its hosts, and of those that serve it does: whoever has \
         a request sent from there gets their credentials"
    };
    Some(Finding::new(ID, Verdict::Warn, says).mended_by(
        "say it in the launch template: MetadataOptions={HttpTokens=required}; hostkit itself always has \
         a token",
    ))
}

/// Whether hosts would take their home from where it is.
fn home(survey: &Survey, version: &Version, data: &Data) -> Option<Finding> {
    const ID: &str = "template.home";
    let home = survey.subject.home.as_ref().ok()?.as_ref()?;
    let text = std::str::from_utf8(data.user_data.as_deref()?).ok()?;
    let efs: Efs = section(&[Layer { origin: "user-data", text }], "efs");
    let (said, is) = (efs.id?, &home.file_system);
    if !survey.subject.is_controller() || said == *is {
        return None;
    }
    let number = version.number;
    let says = format!(
        "the home is on {is}, and version {number} has its hosts take it from {said}: they would serve \
         other jobs, or none"
    );
    let finding = Finding::new(ID, Verdict::Fail, says)
        .shown_by(format!("[efs] id in the user-data of version {number} of {}", version.template));
    Some(finding.mended_by(if survey.again().is_some() {
        format!(
            "keep the user-data that serves, with the image of then: hostkit rollback --asg {} --image {} \
             --region {}",
            survey.subject.group.name,
            version.image.as_deref().unwrap_or("ami-…"),
            survey.subject.region
        )
    } else {
        format!("make a version whose user-data says {is}, and have the group launch by it")
    }))
}
