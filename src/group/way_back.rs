//! Whether a rollout has a host put its home back: what the journal of the group's rollout,
//! `/hostkit/asg/ASG/journal`, says of that. Pure.
//!
//! It is read by a host whose Jenkins has left the home to another one, which has served it since. The
//! rollout is written by whoever changes the group, and never by a host. Only what a host needs of it
//! is read here; all of it is in `fleet`, whose tests hold both together.

use serde::Deserialize;

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
}

/// The id of the rollout that has a host of `image` put back what its Jenkins had left of the home,
/// before hosts of the image `served` served it.
///
/// # Errors
/// None has: what the journal says, in a sentence without a full stop.
pub fn permitted(journal: Option<&str>, image: &str, served: &str) -> Result<String, String> {
    let Some(text) = journal else { return Err("nothing was ever rolled out to its group".into()) };
    let journal: Journal = serde_json::from_str(text)
        .map_err(|error| format!("the journal of its group cannot be read: {error}"))?;
    let Journal { rollout, way, phase, order } = journal;
    if phase == "recorded" {
        return Err(format!("rollout {rollout} of its group is over"));
    }
    let (goal, other) = match way.as_str() {
        "back" => (order.from, order.to),
        // Who goes forward brings a home forward, but for a way back that somebody asked for.
        _ if order.restores_home => (order.to, order.from),
        _ => return Err(format!("rollout {rollout} of its group does not go back")),
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
    Ok(rollout)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn journal(change: impl FnOnce(&mut Value)) -> String {
        let mut journal = json!({
            "form": 1, "rollout": "r-1", "way": "back", "phase": "refresh",
            "order": { "group": "ci", "from": { "image": "ami-a" }, "to": { "image": "ami-b" } },
        });
        change(&mut journal);
        journal.to_string()
    }

    fn of(text: &str) -> Result<String, String> {
        permitted(Some(text), "ami-a", "ami-b")
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
            permitted(None, "ami-a", "ami-b"),
            of("{"),
            of(&journal(|it| it["phase"] = "recorded".into())),
            of(&forward(false)),
            of(&journal(|it| it["order"]["from"]["image"] = "ami-c".into())),
            of(&journal(|it| it["order"]["to"]["image"] = "ami-c".into())),
        ];
        let refused: Vec<String> = refused.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(refused.join("\n"));
    }
}
