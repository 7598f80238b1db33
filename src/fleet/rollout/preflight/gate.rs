//! An older Jenkins on a home that a newer one has written: the host refuses it at its boot, so it is
//! refused here, before anybody is without Jenkins.

use crate::doctor::{Finding, Verdict};
use crate::fleet::rollout::Ask;
use crate::fleet::rollout::plan::jenkins_of;
use crate::fleet::rollout::survey::Survey;
use crate::host::{Jenkins, Layer, section};
use crate::jenkins::Version;

const ID: &str = "home.downgrade";

pub(super) fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    if !survey.subject.is_controller() || survey.new_image().is_none() {
        return Vec::new();
    }
    let both = jenkins_of(survey);
    let parsed = |text: &Option<String>| text.as_ref().and_then(|it| it.parse::<Version>().ok());
    let (Some(old), Some(new)) = (parsed(&both.0), parsed(&both.1)) else {
        let says = "which of the two has the newer Jenkins is not known: a host with an older one \
                    refuses its home at boot";
        let known = |side: &str, text: &Option<String>| {
            format!("{side}: {}", text.as_deref().unwrap_or("not known"))
        };
        return vec![
            Finding::new(ID, Verdict::Warn, says)
                .shown_by(known("what serves", &both.0))
                .shown_by(known("the image", &both.1)),
        ];
    };
    if new >= old {
        return vec![Finding::new(ID, Verdict::Pass, format!("Jenkins {old} becomes {new}"))];
    }
    let evidence = format!("{old} serves, the image has {new}");
    if allowed(survey) {
        let says = format!("Jenkins goes back from {old} to {new}, as the user-data allows it");
        return vec![
            Finding::new(ID, Verdict::Warn, says).shown_by("jenkins.allow_downgrade = true"),
        ];
    }
    if ask.rollback && ask.restore_home {
        let says = format!(
            "Jenkins goes back from {old} to {new}, and its configuration and plugins with it: what \
             was written since is kept aside on the home"
        );
        let unless = "its host refuses the home if nothing was kept aside for exactly this change; \
                      then what serves now is put back";
        return vec![Finding::new(ID, Verdict::Warn, says).shown_by(unless)];
    }
    let says = format!(
        "the home was written by Jenkins {old}, and the image has {new}: its host would refuse the home, \
         because an older Jenkins may lose what a newer one has written"
    );
    vec![
        Finding::new(ID, Verdict::Fail, says)
            .shown_by(evidence)
            .mended_by(format!("take an image with Jenkins {old} or newer"))
            .mended_by(if ask.rollback {
                "to go back for good: --restore-home puts configuration and plugins back as this image \
                 had left them, and keeps aside what was written since (docs/home.md, \"Going back\")"
            } else {
                "to go back to what served before: hostkit rollback --restore-home (docs/home.md, \
                 \"Going back\"); to start an older Jenkins on the home as it is, set \
                 `jenkins.allow_downgrade = true` in the user-data of the launch template"
            }),
    ]
}

/// Whether hosts are told to do it all the same.
fn allowed(survey: &Survey) -> bool {
    let told = survey.launched().and_then(|(_, data)| data.user_data.as_deref());
    let Some(text) = told.and_then(|told| std::str::from_utf8(told).ok()) else { return false };
    section::<Jenkins>(&[Layer { origin: "user-data", text }], "jenkins").allow_downgrade
}
