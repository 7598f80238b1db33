//! Whether a rollout has a host put its home back: what the journal of the group's rollout,
//! `/hostkit/asg/ASG/journal`, says of that, and what AWS itself has done to its refresh. Pure.
//!
//! It is read by a host whose Jenkins has left the home to another one, which has served it since. The
//! rollout is written by whoever changes the group, and never by a host. Only what a host needs of it
//! is read here; all of it is in `fleet`, whose tests hold both together.
//!
//! AWS takes a refresh back by itself where its hosts do not become healthy, also when the process that
//! began it is gone and nobody writes the journal. Whoever carries such a rollout on goes back, and
//! can do nothing else: so what AWS does counts as much as what the journal says. Whatever is not
//! certain counts for nothing.

use jiff::Timestamp;
use serde::Deserialize;

use crate::aws::asg::refresh::{Refresh, Status};

/// The parameter of a group's journal.
pub fn parameter(group: &str) -> String {
    format!("/hostkit/asg/{group}/journal")
}

/// What is read of a journal.
#[derive(Debug, Deserialize)]
struct Journal {
    rollout: String,
    way: String,
    phase: String,
    order: Order,
    #[serde(default)]
    forward: Attempt,
}

#[derive(Debug, Deserialize)]
struct Order {
    from: Side,
    to: Side,
    /// Somebody who asked for a way back wants the home of then, too.
    #[serde(default)]
    restores_home: bool,
}

#[derive(Debug, Deserialize)]
struct Side {
    image: String,
    /// `lt-…`
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    version: Option<i64>,
}

/// The refresh to the new image.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attempt {
    id: Option<String>,
    /// The newest refresh that there was before.
    after: Option<String>,
    marks: Marks,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Marks {
    began: Option<Timestamp>,
}

/// Who has a host put its home back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// This rollout: it goes back, by its journal.
    Given(String),
    /// A rollout that goes forward by its journal, if AWS has taken its refresh back.
    OfRefresh(Begun),
}

/// A refresh that a rollout has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The id of the rollout.
    pub rollout: String,
    which: Which,
}

/// How it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    /// By its id.
    Named(String),
    /// Its process ended before it knew the id. Nobody else has this version of the template: it was
    /// made for the rollout.
    Newer { than: Option<String>, template: String, version: i64 },
}

/// Who has a host of `image` put back what its Jenkins had left of the home, before hosts of the image
/// `served` served it.
///
/// # Errors
/// Nobody has: what the journal says, in a sentence without a full stop.
pub fn permission(journal: Option<&str>, image: &str, served: &str) -> Result<Permission, String> {
    let Some(text) = journal else { return Err("nothing was ever rolled out to its group".into()) };
    let journal: Journal = serde_json::from_str(text)
        .map_err(|error| format!("the journal of its group cannot be read: {error}"))?;
    let Journal { rollout, way, phase, order, forward } = journal;
    let Order { from, to, restores_home } = order;
    if phase == "recorded" {
        return Err(format!("rollout {rollout} of its group is over"));
    }
    let is_back = way == "back";
    if !is_back && (&*from.image, &*to.image) == (image, served) {
        return match which(forward, to) {
            Some(which) => Ok(Permission::OfRefresh(Begun { rollout, which })),
            None => Err(format!("rollout {rollout} of its group does not go back")),
        };
    }
    let (goal, other) = match (is_back, restores_home) {
        (true, _) => (from, to),
        // Who goes forward brings a home forward, but for a way back that somebody asked for.
        (false, true) => (to, from),
        (false, false) => return Err(format!("rollout {rollout} of its group does not go back")),
    };
    if goal.image != image {
        return Err(format!("rollout {rollout} goes back to {}, not to {image}", goal.image));
    }
    if other.image != served {
        return Err(format!(
            "rollout {rollout} goes back from {}, and the home was served by {served}",
            other.image
        ));
    }
    Ok(Permission::Given(rollout))
}

fn which(forward: Attempt, to: Side) -> Option<Which> {
    // Before this is written, nothing was begun.
    forward.marks.began?;
    match (forward.id, to.template, to.version) {
        (Some(id), _, _) => Some(Which::Named(id)),
        (None, Some(template), Some(version)) => {
            Some(Which::Newer { than: forward.after, template, version })
        }
        (None, _, _) => None,
    }
}

impl Begun {
    /// Whether AWS has taken it back: the id of the rollout then. `refreshes` are those of the group,
    /// the newest first; `since` is when hosts of the other image took the home over.
    ///
    /// A refresh that failed or was cancelled is not taken back: what it has replaced stays, and may
    /// be what somebody wants. After a newer refresh nobody knows what the group was to launch since.
    /// And a home that was taken over before the refresh began, or after it ended, was not taken over
    /// because of it.
    ///
    /// # Errors
    /// It is not, or that is not certain: why, in a sentence without a full stop.
    pub fn taken_back(self, refreshes: &[Refresh], since: Timestamp) -> Result<String, String> {
        let Self { rollout, which } = self;
        let not_back = format!("rollout {rollout} of its group does not go back");
        let Some(newest) = refreshes.first() else {
            return Err(format!("{not_back}, and its group has no refresh"));
        };
        let id = &newest.id;
        if !which.is(newest) {
            return Err(format!(
                "{not_back}, and {id}, the group's newest refresh, is another one"
            ));
        }
        match newest.status {
            Status::RollbackInProgress | Status::RollbackSuccessful | Status::RollbackFailed => {}
            status => {
                return Err(format!("{not_back}, nor does AWS: its refresh {id} is {status:?}"));
            }
        }
        let is_within = newest.started.is_some_and(|started| started <= since)
            && newest.ended.is_none_or(|ended| since <= ended);
        if !is_within {
            return Err(format!(
                "{not_back}; AWS has taken its refresh {id} back, and the home was taken over at \
                 {since}, which is not while that ran"
            ));
        }
        Ok(rollout)
    }
}

impl Which {
    fn is(&self, newest: &Refresh) -> bool {
        match self {
            Self::Named(id) => newest.id == *id,
            Self::Newer { than, template, version } => {
                than.as_ref() != Some(&newest.id)
                    && newest.template.as_ref() == Some(template)
                    && newest.version == Some(*version)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn journal(change: impl FnOnce(&mut Value)) -> String {
        let mut journal = json!({
            "form": 1, "rollout": "r-1", "way": "back", "phase": "refresh",
            "order": {
                "group": "ci",
                "from": { "image": "ami-a", "template": "lt-1", "version": 7 },
                "to": { "image": "ami-b", "template": "lt-1", "version": 8 },
            },
        });
        change(&mut journal);
        journal.to_string()
    }

    /// One that goes forward, and has begun a refresh.
    fn forward(change: impl FnOnce(&mut Value)) -> String {
        journal(|it| {
            it["way"] = "forward".into();
            it["forward"] = json!({
                "after": "refresh-0", "id": "refresh-1", "marks": { "began": "2026-09-21T14:00:00Z" },
            });
            change(it);
        })
    }

    fn of(text: &str) -> Result<String, String> {
        match permission(Some(text), "ami-a", "ami-b")? {
            Permission::Given(rollout) => Ok(rollout),
            Permission::OfRefresh(begun) => Err(format!("it depends on {begun:?}")),
        }
    }

    #[test]
    fn only_an_unfinished_way_back_from_that_image_to_this_one_permits_it() {
        assert_eq!(of(&journal(|_| {})).as_deref(), Ok("r-1"));
        let proof = journal(|it| it["phase"] = "proof".into());
        assert_eq!(of(&proof).as_deref(), Ok("r-1"));
        let forward = |restores: bool| {
            journal(|it| {
                it["way"] = "forward".into();
                it["order"]["restores_home"] = restores.into();
                let order = it["order"].as_object_mut().unwrap();
                let from = order.insert("from".to_owned(), json!({ "image": "ami-b" }));
                order.insert("to".to_owned(), from.unwrap());
            })
        };
        assert_eq!(of(&forward(true)).as_deref(), Ok("r-1"), "somebody asked for it");
        let refused = [
            permission(None, "ami-a", "ami-b").map(|it| format!("{it:?}")),
            of("{"),
            of(&journal(|it| it["phase"] = "recorded".into())),
            of(&forward(false)),
            of(&journal(|it| it["way"] = "forward".into())),
            of(&journal(|it| it["order"]["from"]["image"] = "ami-c".into())),
            of(&journal(|it| it["order"]["to"]["image"] = "ami-c".into())),
        ];
        let refused: Vec<String> = refused.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(refused.join("\n"));
    }

    fn refresh(id: &str, status: Status) -> Refresh {
        Refresh {
            id: id.to_owned(),
            status,
            reason: None,
            rollback: None,
            started: Some(minute(0)),
            ended: None,
            percent: None,
            template: Some("lt-1".to_owned()),
            version: Some(8),
        }
    }

    /// So many minutes after the refresh began.
    fn minute(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + 60 * minutes).unwrap()
    }

    fn asked(text: &str, refreshes: &[Refresh]) -> Result<String, String> {
        match permission(Some(text), "ami-a", "ami-b")? {
            Permission::OfRefresh(begun) => begun.taken_back(refreshes, minute(5)),
            Permission::Given(rollout) => panic!("{rollout}: the journal goes forward"),
        }
    }

    const ALL: [Status; 10] = [
        Status::Pending,
        Status::InProgress,
        Status::Baking,
        Status::Successful,
        Status::Failed,
        Status::Cancelling,
        Status::Cancelled,
        Status::RollbackInProgress,
        Status::RollbackFailed,
        Status::RollbackSuccessful,
    ];

    #[test]
    fn a_refresh_that_aws_takes_back_is_permission_and_no_other_is() {
        let permits = |status: Status| asked(&forward(|_| {}), &[refresh("refresh-1", status)]);
        let back: Vec<Status> = ALL.into_iter().filter(|it| permits(*it).is_ok()).collect();
        let expected =
            [Status::RollbackInProgress, Status::RollbackFailed, Status::RollbackSuccessful];
        assert_eq!(back, expected);
        assert_eq!(permits(Status::RollbackInProgress).as_deref(), Ok("r-1"));
        // A way back that somebody asked for is one like another where AWS itself takes it back.
        let restores = forward(|it| it["order"]["restores_home"] = true.into());
        let taken = [refresh("refresh-1", Status::RollbackInProgress)];
        assert_eq!(asked(&restores, &taken).as_deref(), Ok("r-1"));
        // Killed before it knew the id.
        let unnamed = forward(|it| it["forward"]["id"] = Value::Null);
        assert_eq!(asked(&unnamed, &taken).as_deref(), Ok("r-1"));
        let first = forward(|it| it["forward"] = json!({ "marks": it["forward"]["marks"] }));
        assert_eq!(asked(&first, &taken).as_deref(), Ok("r-1"), "the group's first refresh");
    }

    #[test]
    fn whatever_is_not_certain_is_refused_and_says_why() {
        let going = || refresh("refresh-1", Status::RollbackInProgress);
        let over = |started: i64, ended: i64| Refresh {
            started: Some(minute(started)),
            ended: Some(minute(ended)),
            ..refresh("refresh-1", Status::RollbackSuccessful)
        };
        let named = forward(|_| {});
        let unnamed = forward(|it| it["forward"]["id"] = Value::Null);
        assert!(asked(&named, &[over(0, 60)]).is_ok());
        let refused = [
            asked(&named, &[]),
            asked(&named, &[refresh("refresh-1", Status::InProgress)]),
            asked(&named, &[refresh("refresh-1", Status::Failed)]),
            asked(&named, &[refresh("refresh-2", Status::InProgress), going()]),
            asked(&named, &[refresh("refresh-2", Status::RollbackSuccessful), going()]),
            asked(&named, &[over(6, 60)]),
            asked(&named, &[over(0, 4)]),
            asked(&named, &[Refresh { started: None, ..going() }]),
            asked(&unnamed, &[refresh("refresh-0", Status::RollbackInProgress)]),
            asked(&unnamed, &[Refresh { version: Some(9), ..going() }]),
            asked(&unnamed, &[Refresh { version: None, ..going() }]),
            asked(&unnamed, &[Refresh { template: Some("lt-2".to_owned()), ..going() }]),
            asked(&forward(|it| it["forward"]["marks"] = json!({})), &[going()]),
            asked(&forward(|it| it["phase"] = "recorded".into()), &[going()]),
            asked(&forward(|it| it["order"]["to"]["image"] = "ami-c".into()), &[going()]),
            asked(&forward(|it| it["order"]["from"]["image"] = "ami-c".into()), &[going()]),
        ];
        let refused: Vec<String> = refused.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(refused.join("\n"));
    }
}
