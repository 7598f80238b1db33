//! What keeps an image from use or from its end: deprecation, protection, being disabled.

use jiff::{SignedDuration, Timestamp};

use super::own;
use crate::sim::ec2::Call;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape;
use crate::sim::image::{Image, State};
use crate::sim::xml::leaf;

/// How long an image stays protected once its protection is taken away, where that was wanted.
const COOLDOWN: SignedDuration = SignedDuration::from_hours(24);
const WITH_COOLDOWN: &str = "enabled-with-cooldown";
const WITHOUT_COOLDOWN: &str = "enabled-without-cooldown";
/// A deprecation is at most so far away: ten years, and two since its making for a public image.
const FURTHEST: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);
const FURTHEST_PUBLIC: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);

/// `EnableImageDeprecation`.
pub fn deprecate(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let at = query.time("DeprecateAt")?.ok_or_else(|| Refusal::missing("DeprecateAt"))?;
    let dry_run = query.finish()?;
    let now = call.account.world();
    let image = own(call.here(), &id)?;
    check_deprecation(image, at, now)?;
    dry_run.end()?;
    // To the minute, as AWS does.
    let minute = at.as_second().div_euclid(60) + i64::from(at.as_second().rem_euclid(60) >= 30);
    image.deprecated = Timestamp::from_second(minute * 60).ok();
    Ok(shape::done())
}

fn check_deprecation(image: &Image, at: Timestamp, now: Timestamp) -> Answer<()> {
    let invalid = |why: &str| {
        let at = shape::time(at);
        Err(Refusal::value(format!("Value ({at}) for parameter DeprecateAt is invalid. {why}")))
    };
    if at < now {
        return invalid("The specified date is in the past");
    }
    let (since, furthest) =
        if image.is_public() { (image.created, FURTHEST_PUBLIC) } else { (now, FURTHEST) };
    if at.duration_since(since) > furthest {
        return invalid("The specified date is too far in the future");
    }
    Ok(())
}

/// `DisableImageDeprecation`.
pub fn revive(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let dry_run = query.finish()?;
    let image = own(call.here(), &id)?;
    dry_run.end()?;
    image.deprecated = None;
    Ok(shape::done())
}

/// `EnableImageDeregistrationProtection`.
pub fn protect(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let cooldown = query.flag("WithCooldown")?.unwrap_or_default();
    let dry_run = query.finish()?;
    let image = own(call.here(), &id)?;
    dry_run.end()?;
    let word = if cooldown { WITH_COOLDOWN } else { WITHOUT_COOLDOWN };
    image.protection = Some(word.to_owned());
    image.cooldown = None;
    Ok(leaf("return", word))
}

/// `DisableImageDeregistrationProtection`. With a cooldown, that begins here.
pub fn release(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let dry_run = query.finish()?;
    let until = call.account.world().saturating_add(COOLDOWN).unwrap_or(Timestamp::MAX);
    let image = own(call.here(), &id)?;
    dry_run.end()?;
    if image.protection.take().as_deref() == Some(WITH_COOLDOWN) {
        image.cooldown = Some(until);
        return Ok(leaf("return", &format!("disabled-in-cooldown until {}", shape::time(until))));
    }
    Ok(leaf("return", "disabled"))
}

/// `DisableImage`: nobody may use it, and nobody has it any more but its owner.
pub fn disable(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let dry_run = query.finish()?;
    let image = own(call.here(), &id)?;
    if !matches!(image.state, State::Available | State::Disabled) {
        return Err(unavailable(image));
    }
    dry_run.end()?;
    image.state = State::Disabled;
    image.shared_with.clear();
    Ok(shape::done())
}

/// `EnableImage`.
pub fn enable(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let dry_run = query.finish()?;
    let image = own(call.here(), &id)?;
    if !matches!(image.state, State::Available | State::Disabled) {
        return Err(unavailable(image));
    }
    dry_run.end()?;
    image.state = State::Available;
    Ok(shape::done())
}

/// It is in a state in which it cannot be used.
pub fn unavailable(image: &Image) -> Refusal {
    let (id, state) = (&image.id, image.state.word());
    Refusal::new(
        "InvalidAMIID.Unavailable",
        format!("The AMI ID '{id}' is currently {state} and may not be used for this operation"),
    )
}
