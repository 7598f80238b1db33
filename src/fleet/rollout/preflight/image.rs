//! The image to be put in service: whether it is there, is hostkit's, and is of the right kind.

use crate::aws::image::{Image, State};
use crate::doctor::{Finding, Verdict};
use crate::fleet::rollout::Ask;
use crate::fleet::rollout::survey::{Choice, Survey};
use crate::image::ami::name::{DIGEST_TAG, RECIPE_TAG};
use crate::teardown::{KEPT, STATE_TAG};

const ID: &str = "image.there";

pub(super) fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    match &survey.choice {
        Err(gap) => return vec![Finding::untold(ID, "which image it shall be", gap)],
        // What served before and is not recorded is told elsewhere.
        Ok(Choice::Previous(None)) => return Vec::new(),
        Ok(Choice::Nothing) => return vec![nameless()],
        Ok(Choice::Pointer { parameter, image: None }) => return vec![dangling(survey, parameter)],
        Ok(_) => {}
    }
    let image = match &survey.image {
        Err(gap) => return vec![Finding::untold(ID, "what the image is", gap)],
        Ok(None) => return vec![absent(survey)],
        Ok(Some(image)) => image,
    };
    let all = [
        state(survey, image),
        deprecation(survey, image, ask),
        ours(image),
        recipe(survey, image, ask),
        owner(survey, image),
    ];
    all.into_iter().flatten().collect()
}

fn nameless() -> Finding {
    let says = "which image it shall be is not known: no recipe is named, and the image that serves is \
                none of hostkit's";
    Finding::new(ID, Verdict::Fail, says)
        .mended_by("name the recipe (`hostkit upgrade RECIPE --asg …`), or the image with --image")
}

fn dangling(survey: &Survey, parameter: &str) -> Finding {
    let recipe = parameter.split('/').nth(2).unwrap_or("RECIPE");
    let says = format!("no image of {recipe} was published here: {parameter} is not there");
    Finding::new(ID, Verdict::Fail, says)
        .shown_by(format!("in {}", survey.subject.region))
        .mended_by(format!("hostkit publish {recipe}"))
        .mended_by("or name an image with --image; `hostkit images ls --aws` lists those there are")
}

fn absent(survey: &Survey) -> Finding {
    let id = survey.choice.as_ref().ok().and_then(Choice::image).unwrap_or_default();
    let region = &survey.subject.region;
    let says = format!("there is no image {id} in {region}, or it is not shown to this account");
    Finding::new(ID, Verdict::Fail, says)
        .mended_by("an image is of one region: `hostkit images ls --aws` lists those there are")
}

#[expect(clippy::unnecessary_wraps, reason = "all checks have one shape")]
fn state(survey: &Survey, image: &Image) -> Option<Finding> {
    const ID: &str = "image.state";
    let (id, region) = (&image.id, &survey.subject.region);
    let (says, fix) = match &image.state {
        State::Available => {
            return Some(Finding::new(ID, Verdict::Pass, format!("{id} is available")));
        }
        State::Pending => (
            format!("{id} is still being made"),
            format!("aws ec2 wait image-available --image-ids {id} --region {region}"),
        ),
        State::Disabled => (
            format!("{id} is disabled"),
            format!("aws ec2 enable-image --image-id {id} --region {region}"),
        ),
        State::Broken(state) => {
            (format!("{id} never became available: {state}"), "bake it again".to_owned())
        }
    };
    let finding = Finding::new(ID, Verdict::Fail, says);
    Some(image.reason.iter().fold(finding, |it, why| it.shown_by(why.clone())).mended_by(fix))
}

fn deprecation(survey: &Survey, image: &Image, ask: &Ask) -> Option<Finding> {
    const ID: &str = "image.deprecated";
    let at = image.deprecated.filter(|at| *at <= survey.subject.now)?;
    let (id, region) = (&image.id, &survey.subject.region);
    // What served before gets old, and is still what served.
    let verdict = if ask.rollback { Verdict::Warn } else { Verdict::Fail };
    Some(
        Finding::new(ID, verdict, format!("{id} is deprecated: whoever made it wants it no more"))
            .shown_by(format!("since {}", at.strftime("%Y-%m-%d %H:%M UTC")))
            .mended_by("bake a new one; if it is good all the same:")
            .mended_by(format!(
                "aws ec2 disable-image-deprecation --image-id {id} --region {region}"
            )),
    )
}

fn ours(image: &Image) -> Option<Finding> {
    const ID: &str = "image.tags";
    let id = &image.id;
    let missing: Vec<_> =
        [RECIPE_TAG, DIGEST_TAG].into_iter().filter(|key| image.tag(key).is_none()).collect();
    if !missing.is_empty() {
        let says = format!(
            "{id} is none of hostkit's images: nothing in it would hold the home, drain, or prove that \
             it serves"
        );
        return Some(
            Finding::new(ID, Verdict::Fail, says)
                .shown_by(format!("it has no tag {}", missing.join(", ")))
                .mended_by(
                    "a copy loses its tags unless hostkit makes it: `hostkit publish` copies and shares",
                ),
        );
    }
    match image.tag(STATE_TAG) {
        None | Some(KEPT) => None,
        Some(state) => {
            let says =
                format!("the build of {id} has not come to its end: `hostkit gc` may remove it");
            Some(
                Finding::new(ID, Verdict::Fail, says)
                    .shown_by(format!("{STATE_TAG} is {state}"))
                    .mended_by("carry the build on (`hostkit bake --resume`), or bake it again"),
            )
        }
    }
}

fn recipe(survey: &Survey, image: &Image, ask: &Ask) -> Option<Finding> {
    const ID: &str = "image.recipe";
    let recipe = image.tag(RECIPE_TAG)?;
    let serving = survey.old_image().and_then(|it| it.tag(RECIPE_TAG));
    let wanted = ask.recipe.as_deref().or(serving)?;
    let id = &image.id;
    if wanted == recipe {
        return Some(Finding::new(ID, Verdict::Pass, format!("{id} is of the recipe {recipe}")));
    }
    let (verdict, says) = if ask.recipe.is_some() {
        (Verdict::Fail, format!("{id} is of the recipe {recipe}, and {wanted} was asked for"))
    } else {
        let says = format!("{id} is of the recipe {recipe}, and what serves is of {wanted}");
        (Verdict::Fail, says)
    };
    let group = &survey.subject.group.name;
    Some(Finding::new(ID, verdict, says).mended_by(format!(
        "if that is meant: hostkit upgrade {recipe} --asg {group} --image {id}"
    )))
}

/// Whose it is: our own account's, or that of whoever made what serves.
fn owner(survey: &Survey, image: &Image) -> Option<Finding> {
    const ID: &str = "image.owner";
    let ours = [Some(survey.identity.account.as_str()), survey.old_image().map(|it| &*it.owner)];
    if image.owner.is_empty() || ours.contains(&Some(image.owner.as_str())) {
        return None;
    }
    let says = format!("{} belongs to the account {}", image.id, image.owner);
    Some(
        Finding::new(ID, Verdict::Fail, format!("{says}, and nothing of it has served here"))
            .shown_by(format!("this account is {}", survey.identity.account))
            .mended_by(format!("hostkit publish {} makes a copy of this account's own", image.id)),
    )
}
