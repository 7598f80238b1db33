//! What is chosen today against what the lock names: packages, files with a signature, the clock.
//!
//! Objects where the two differ and never settles it: a version that is gone is for a person to
//! decide about.

use std::sync::{Arc, Mutex};

use super::layers::Part;
use crate::error::Fault;
use crate::plan::lock::{Pin, Resolution};
use crate::sys::downloads::Witness;
use crate::sys::{Archive, Arrival};

/// Hears what is chosen, writes it down, and objects where the lock says otherwise.
pub(super) fn witness(locked: Option<Resolution>, chosen: Arc<Mutex<Resolution>>) -> Witness {
    Arc::new(move |arrival| {
        let now = match arrival {
            Arrival::Packages(archives) => {
                let now = resolution(archives);
                agree(locked.as_ref(), &now)?;
                now
            }
            Arrival::File { path, sha256 } => {
                let now = Resolution::signed(path, sha256);
                if locked.as_ref().is_some_and(|locked| !locked.conflicts(&now).is_empty()) {
                    return Err(replaced(path).into());
                }
                now
            }
        };
        chosen.lock().expect("never poisoned").0.extend(now.0);
        Ok(())
    })
}

/// Package files as a choice.
pub(super) fn resolution(archives: &[Archive]) -> Resolution {
    let pins = archives.iter().filter_map(|archive| {
        let (name, version, arch) = archive.name()?;
        let (name, arch, sha256) = (name.to_owned(), arch.to_owned(), archive.digest.clone());
        Some((name, Pin { version, arch, sha256 }))
    });
    pins.collect()
}

/// A version that is locked and cannot be had any more is for a person to decide about.
pub(super) fn agree(locked: Option<&Resolution>, now: &Resolution) -> anyhow::Result<()> {
    let conflicts = locked.map(|locked| locked.conflicts(now)).unwrap_or_default();
    if conflicts.is_empty() {
        return Ok(());
    }
    let more = conflicts.len().saturating_sub(5);
    let mut text = conflicts[..conflicts.len() - more].join(", ");
    if more > 0 {
        text += &format!(", and {more} more");
    }
    let what = format!("the repositories do not have what hostkit.lock names: {text}");
    let hint = "take what there is today with --update-lock, or pin the repositories to a day \
                with `snapshot = …` in [base]";
    Err(Fault::recipe(what).hint(hint).into())
}

fn replaced(path: &str) -> Fault {
    Fault::recipe(format!("what is fetched to {path} is not what hostkit.lock names"))
        .hint("it has the right signature: look at what is new, and take it with --update-lock")
}

pub(super) fn moved(part: Part) -> Fault {
    Fault::recipe(format!("hostkit.lock does not fit the recipe: what `{part}` comes to differs"))
        .hint("bake without --locked, look at what changes in the lock, and keep it")
}

/// The clock of a bake without a lock: the last midnight, so that recipes that are first baked on
/// one day share their layers.
pub(super) fn today() -> i64 {
    const DAY: i64 = 24 * 60 * 60;
    jiff::Timestamp::now().as_second() / DAY * DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_with_the_right_signature_is_refused_where_one_is_locked() {
        let chosen = Arc::<Mutex<Resolution>>::default();
        let hear = |locked: Option<Resolution>, sha256: &str| {
            witness(locked, Arc::clone(&chosen))(Arrival::File { path: "/opt/tool", sha256 })
        };
        let first = Resolution::signed("/opt/tool", "1");
        hear(None, "1").unwrap();
        assert_eq!(*chosen.lock().unwrap(), first);
        hear(Some(first.clone()), "1").unwrap();
        let error = hear(Some(first), "2").unwrap_err();
        assert_eq!(crate::error::blame(&error).exit_code(), 3);
        assert!(error.to_string().contains("/opt/tool is not what hostkit.lock names"));
    }
}
